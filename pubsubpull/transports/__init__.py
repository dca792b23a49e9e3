"""Transports, which bring messages to receivers: one protocol, and a module or folder for each."""
