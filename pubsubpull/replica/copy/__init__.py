"""The initial copy of a replica."""
