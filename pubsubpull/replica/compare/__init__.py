"""Comparison of a replica with its source, and repair."""
