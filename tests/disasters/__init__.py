"""What a server may go through, with the log in it: crashes, failovers, standbys, restores."""
