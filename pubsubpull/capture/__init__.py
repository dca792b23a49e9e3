"""The ground: what is published, the change log, its triggers, and the feed that reads it."""
