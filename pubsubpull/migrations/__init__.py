"""The log's tables and functions."""
