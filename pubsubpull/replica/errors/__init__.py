"""Errors of the database: find the replica that fails, and the reason."""
