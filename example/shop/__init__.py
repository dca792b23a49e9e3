"""The shop: a small service whose customers and orders others want to follow."""
