"""One command a module: each parses, calls one function and prints."""
