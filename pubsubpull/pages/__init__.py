"""Pages for people, within Django's admin."""
