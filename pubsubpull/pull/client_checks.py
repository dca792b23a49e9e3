"""Checks of the client's input (addresses, tokens, models' names), and the meaning of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pubsubpull import exceptions
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable


def base(url: str) -> str:
    """Return the URL of the API, with a slash at its end. Raises `ServiceError` for any other text."""
    # Checked here, where the caller's own line is in the traceback: requests would fail at the first call.
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, AttributeError):
        fits = False
    if not fits:
        raise exceptions.ServiceError(f"url: must be as https://shop.example/pubsubpull/, not {url!r}.")
    return url.rstrip("/") + "/"


def sendable(token: str) -> str:
    """Return a token without the line end of a file. Raises `ServiceError` for a text that no header may have."""
    # A line end within it would end the header, and the rest would be a header of the token's author.
    bare = token.strip() if isinstance(token, str) else ""
    if not bare or not bare.isascii() or not bare.isprintable():
        raise exceptions.ServiceError("token: must be the text that the service gave; it is one line.")
    return bare


def labels(models: Iterable[str] | str) -> list[str]:
    """Return a list of the models, which may also be named by a single text."""
    # A text is iterable too: its letters would be taken for models.
    return [models] if isinstance(models, str) else list(models)


def result(answer: Any) -> dict[str, Any]:
    """Return the answer's body. Raises `CursorExpired`, `Unavailable` or `RequestRefused` for an error's answer."""
    if answer.status_code == 204:
        return {}
    try:
        body = jsontext.loads(answer.content)
    except ValueError:
        body = {}
    if answer.status_code < 300 and isinstance(body, dict) and body:
        return body
    problem = body if isinstance(body, dict) else {}
    # By the problem's type, too: a proxy may answer 410, and a follower would then copy all rows anew.
    if answer.status_code == 410 and str(problem.get("type", "")).endswith(":cursor-expired"):
        raise exceptions.CursorExpired(problem.get("detail") or "The cursor has expired.")
    if answer.status_code in {429, 502, 503, 504}:
        raise exceptions.Unavailable(f"{answer.status_code}: {problem.get('detail') or answer.reason}")
    raise exceptions.RequestRefused(answer.status_code, problem, _unlike(answer))


def _unlike(answer: Any) -> str:
    """Return a description of an answer that is not the API's."""
    address = answer.url.partition("?")[0]
    if answer.is_redirect:
        return f"{address} leads to {answer.headers['Location']!r}, which is not followed: give that address."
    return f"{address} gave an answer that is not the API's: is pubsubpull.urls mounted there?"
