"""How a message reaches a receiver: one protocol, and a module for each way."""
