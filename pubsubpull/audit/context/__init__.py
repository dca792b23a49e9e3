"""Why a change was made: contexts, requests, and how the log is told of them."""
