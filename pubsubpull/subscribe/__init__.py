"""Publish and subscribe: changes are pushed to who wants them."""
