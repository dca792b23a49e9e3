"""A cache whose server is away."""

from __future__ import annotations

from django.core.cache.backends.base import BaseCache


class Cache(BaseCache):
    def __init__(self, _location, params):
        super().__init__(params)

    def add(self, *_, **__):
        raise ConnectionError("away")
