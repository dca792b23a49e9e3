"""Who made a change: the context of requests, commands and jobs, and the trail of each object."""
