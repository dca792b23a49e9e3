"""The base: threads, back-off, times, kinds of errors. It knows nothing of the domain, and imports nothing of it."""
