"""The API by which consumers ask to be sent changes, and the rows that keep what they asked for."""
