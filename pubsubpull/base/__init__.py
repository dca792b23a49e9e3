"""What every part stands on: threads, back-off, times. Nothing of the domain, no database."""
