"""The table that all tenants share: the list of tenants."""
