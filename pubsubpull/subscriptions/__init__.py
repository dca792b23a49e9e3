"""Subscriptions: the API with which consumers ask for pushed changes, and the rows that store them."""
