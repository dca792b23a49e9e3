"""Changes that a replica cannot take: set aside, retried and dropped."""
