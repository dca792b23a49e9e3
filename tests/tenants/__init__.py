"""A project with django-tenants: a schema for each tenant, and in each a log of its own."""
