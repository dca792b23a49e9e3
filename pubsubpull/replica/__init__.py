"""Replicas: another service's models as local tables, kept equal by its changes."""
