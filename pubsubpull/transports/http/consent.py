"""Consent: before the first message, a receiver agrees with a header to take messages at its address.

This is the handshake of CloudEvents' "HTTP 1.1 Web Hooks". It keeps a consumer from aiming messages at foreign servers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pubsubpull.transports.base import Ready, Retry
from pubsubpull.transports.http.answers import retry_after

if TYPE_CHECKING:
    from pubsubpull.conf import Settings
    from pubsubpull.transports.http.client import Response

NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")
# At most nine digits: the number must fit the column, an integer of 32 bits.
RATE_PATTERN = re.compile(r"[1-9][0-9]{0,8}")


def origin(settings: Settings) -> str:
    """Return the origin that asks for consent: ORIGIN, or SERVICE_NAME in the letters of a host name."""
    return settings.ORIGIN.lower() or named(settings.SERVICE_NAME)


def named(service: str) -> str:
    """Return a service's name in the letters of a host name: Our Shop → our-shop."""
    return NOT_IN_NAMES.sub("-", service.lower()).strip("-.") or "pubsubpull"


def request(origin: str) -> dict[str, str]:
    """Return the headers that ask for consent."""
    return {"webhook-request-origin": origin}


def outcome(response: Response, *, origin: str, now: float) -> Ready | Retry:
    """Return `Ready` if the answer gives consent, else a `Retry` with the reason."""
    # Only the header counts, not the status: many servers answer 200 to any OPTIONS.
    allowed = response.headers.get("webhook-allowed-origin", "").strip().lower()
    if allowed in {"*", origin}:
        rate = response.headers.get("webhook-allowed-rate", "").strip()
        return Ready(rate=int(rate) if RATE_PATTERN.fullmatch(rate) else None)
    reason = "allows another origin" if allowed else "has no WebHook-Allowed-Origin header"
    error = f"The receiver has not consented: its answer to OPTIONS ({response.status}) {reason}."
    return Retry(
        error=f"{error} It must allow {origin}.",
        after=retry_after(response.headers.get("retry-after", ""), now=now),
    )
