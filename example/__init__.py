"""Runnable parts that are not installed with the package: the demo and its throw-away PostgreSQL."""
