"""Parking: set aside changes on which a replica fails; retry or drop them later."""
