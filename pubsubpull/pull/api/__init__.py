"""The HTTP API that consumers pull from."""
