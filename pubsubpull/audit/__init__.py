"""Audit: the context of each change, the history of each object, and the proof that the log was not altered."""
