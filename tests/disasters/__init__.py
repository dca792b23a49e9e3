"""Disasters of a server with a log: crashes, failovers, standbys, restores."""
