"""Tables that follow a model of another service: what is written to them, and how."""
