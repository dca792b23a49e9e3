"""Replicas that get pushes from their sources."""
