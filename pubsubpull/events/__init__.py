"""Domain events: declared as classes, written into the change log in the transaction that causes them."""
