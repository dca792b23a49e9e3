"""The HTTP API, its consumers, and the client."""
