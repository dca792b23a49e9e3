"""Django's own tests with every model published, each in a context: tests that pass without pubsubpull pass with it."""
