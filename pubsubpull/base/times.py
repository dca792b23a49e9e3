"""Times as the API writes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.utils import timezone


def moment(seconds: float) -> dt.datetime:
    """Return a time in unix seconds as Django has it in templates: without a zone where USE_TZ is off."""
    found = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    return found if settings.USE_TZ else timezone.make_naive(found)


def text(moment: Any) -> str | None:
    """Return a time as RFC 3339 in UTC, None for none."""
    if moment is None:
        return None
    if timezone.is_naive(moment):
        moment = timezone.make_aware(moment)
    return str(moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"))
