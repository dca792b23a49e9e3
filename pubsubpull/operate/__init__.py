"""What keeps a service running and tells how it is: health, metrics, maintenance, operators' actions."""
