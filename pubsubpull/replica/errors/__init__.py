"""What the database says when a page does not go in: whose fault it is, and what to do."""
