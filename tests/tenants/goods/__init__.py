"""The tables that each tenant has for itself."""
