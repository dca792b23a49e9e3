"""Operation of a service: health, metrics, maintenance, and operators' actions."""
