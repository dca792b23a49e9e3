"""The schema public's tables."""
