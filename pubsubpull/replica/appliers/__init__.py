"""The ways to apply a page to replicas."""
