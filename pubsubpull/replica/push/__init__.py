"""Replicas whose sources push to them."""
