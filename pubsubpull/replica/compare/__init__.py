"""The proof that a replica equals its source."""
