"""Django's own tests with every model published, each in a context: what passes without pubsubpull passes with it."""
