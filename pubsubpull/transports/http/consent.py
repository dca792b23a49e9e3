"""Consent: a receiver says with a header that it wants what is sent to its address, before anything is sent there.

It is the handshake of CloudEvents' "HTTP 1.1 Web Hooks": nobody's address is made a target by another's subscription.
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
RATE = re.compile(r"[1-9][0-9]{0,8}")


def origin(settings: Settings) -> str:
    """Return the name that the service asks under: ORIGIN, or SERVICE_NAME in the letters of a host's name."""
    return settings.ORIGIN.lower() or named(settings.SERVICE_NAME)


def named(service: str) -> str:
    """Return a service's name in the letters of a host's name: Our Shop → our-shop."""
    return NOT_IN_NAMES.sub("-", service.lower()).strip("-.") or "pubsubpull"


def request(origin: str) -> dict[str, str]:
    """Return the headers that ask for consent."""
    return {"webhook-request-origin": origin}


def outcome(response: Response, *, origin: str, now: float) -> Ready | Retry:
    """Say what an answer means. Only the header counts: many servers answer 200 to whatever is asked."""
    given = response.headers.get("webhook-allowed-origin", "").strip().lower()
    if given in {"*", origin}:
        rate = response.headers.get("webhook-allowed-rate", "").strip()
        return Ready(rate=int(rate) if RATE.fullmatch(rate) else None)
    reason = "allows another origin" if given else "has no WebHook-Allowed-Origin header"
    error = f"The receiver has not consented: its answer to OPTIONS ({response.status}) {reason}."
    return Retry(
        error=f"{error} It must allow {origin}.",
        after=retry_after(response.headers.get("retry-after", ""), now=now),
    )
