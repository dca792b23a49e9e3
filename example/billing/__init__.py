"""Billing: a service that follows the shop's customers and orders, and keeps copies of them."""
