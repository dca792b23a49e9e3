"""The base: threads, back-off and times. It knows nothing of the domain, and imports no other part of the package."""
