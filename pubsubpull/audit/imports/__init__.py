"""Bringing the past that other audit packages wrote down into the log."""
