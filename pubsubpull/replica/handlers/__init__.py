"""Handlers: the user's own code, called for events and changes of this service or another one."""
