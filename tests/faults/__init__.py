"""Faults: writers commit while workers, database, network and receivers fail; nothing is lost. `make faults`."""
