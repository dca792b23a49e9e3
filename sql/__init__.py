"""The SQL that pubsubpull installs and runs: one object or one query a file."""
