"""The outcome of an HTTP answer: a status, headers and a body in, an `Outcome` out."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.log.cursor import Cursor
from pubsubpull.transports.base import HOLD_LIMIT, Delivered, Gone, Outcome, Retry, Rewind, beginning

if TYPE_CHECKING:
    from pubsubpull.transports.http.client import Response


AWAY = {502, 503, 504}
"""The statuses with which a gateway answers for a receiver that is away."""
BUSY = {408, 425, 429}
"""The statuses of a receiver that would take the same message later."""
HOLDS = {429, 503}
"""The statuses with which a Retry-After is honoured."""

NOTHING_TO_COMPARE = (
    "The receiver answered 409. If each change has a URL of its own, there is no cursor to continue from: "
    "answer 2xx to a change that was taken before."
)


def outcome(response: Response, *, now: float, moves: bool = True) -> Outcome:
    """Return the outcome of an answer. `now` is in unix seconds; `moves` is True if a 409 may name a cursor."""
    if 200 <= response.status < 300:
        return Delivered()
    if response.status == 409:
        return _conflict(response) if moves else Retry(error=NOTHING_TO_COMPARE, **_said(response))
    if response.status == 410:
        return Gone(error="The receiver answered 410: it wants no more.", code=410)
    return _failed(response, now=now)


def _said(response: Response) -> dict[str, Any]:
    return {"code": response.status, "answer": beginning(response.body_start)}


def _failed(response: Response, *, now: float) -> Retry:
    error = f"The receiver answered {response.status}."
    said = _said(response)
    # Not refused, which could set changes aside: the address is wrong, not the message.
    if 300 <= response.status < 400:
        return Retry(error=f"{error} A redirect is not followed: register the address that it leads to.", **said)
    if response.status in BUSY | AWAY:
        after = retry_after(response.headers.get("retry-after", ""), now=now) if response.status in HOLDS else 0.0
        return Retry(error=error, after=after, away=response.status in AWAY, **said)
    return Retry(error=error, refused=True, **said)


def retry_after(value: str, *, now: float) -> float:
    """Return the seconds of a Retry-After header, which holds a number or a date; 0 if it holds neither."""
    value = value.strip()
    # isdigit() alone takes digits at which float() fails. Cut: nine digits say any pause up to the limit.
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), HOLD_LIMIT)
    try:
        date = email.utils.parsedate_to_datetime(value)
        # A date without a zone is GMT, not this process's own zone; the last of all dates overflows in some zones.
        until = (date if date.tzinfo else date.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, IndexError, OverflowError):
        return 0.0
    return min(max(until - now, 0.0), HOLD_LIMIT)


def _conflict(response: Response) -> Rewind | Retry:
    said = _said(response)
    try:
        answer = json.loads(response.body_start)
    # The body comes from outside: JSON that is nested too deeply is as wrong as none.
    except (ValueError, RecursionError):
        answer = None
    text = answer.get("cursor") if isinstance(answer, dict) else None
    if not isinstance(text, str):
        error = 'The receiver answered 409 without its cursor: the body must be {"cursor": "…"}.'
        return Retry(error=error, **said)
    try:
        return Rewind(cursor=Cursor.decode(text), error="The receiver answered 409.", code=409)
    except exceptions.CursorInvalid:
        return Retry(error="The receiver answered 409 with a cursor that cannot be read.", **said)
