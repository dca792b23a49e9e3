"""Appliers: the ways to apply a page to replicas."""
