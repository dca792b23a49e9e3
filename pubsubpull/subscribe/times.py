"""Times as the API writes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.utils import timezone


def text(moment: Any) -> str | None:
    """Return a time as RFC 3339 in UTC, None for none."""
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    return str(moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"))
