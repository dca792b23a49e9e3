"""A tenant's tables."""
