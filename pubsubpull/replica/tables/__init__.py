"""The table effect: the statements that fill a replica's table."""
