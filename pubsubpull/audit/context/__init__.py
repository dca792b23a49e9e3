"""The contexts of changes: requests, commands, jobs and tasks, and how a transaction announces its context."""
