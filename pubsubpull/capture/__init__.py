"""Capture: the registry of published models, and the triggers that write their changes into the log."""
