"""Imports of the past that other audit packages have recorded."""
