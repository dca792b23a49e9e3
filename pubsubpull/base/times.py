"""Times, as templates and the API show them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.utils import timezone


def moment(seconds: float) -> dt.datetime:
    """Return a time in unix seconds as a datetime for templates: aware, or naive in TIME_ZONE if USE_TZ is off."""
    time = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return time if settings.USE_TZ else timezone.make_naive(time)


def text(moment: Any) -> str | None:
    """Return a datetime as RFC 3339 in UTC, as in `2026-01-31T12:00:00Z`; None for None."""
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    return str(moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"))
