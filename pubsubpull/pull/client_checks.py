"""Checks of the client's input (addresses, tokens, models' names), and the meaning of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pubsubpull import exceptions
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable


def base(url: str) -> str:
    """Return the address below which the API is, or say why it cannot be one."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except (ValueError, AttributeError):
        fits = False
    if not fits:
        raise exceptions.ServiceError(f"url: must be as https://shop.example/pubsubpull/, not {url!r}.")
    return url.rstrip("/") + "/"


def sendable(token: str) -> str:
    """Return a token as it is sent: of a file, without the end of its line."""
    bare = token.strip() if isinstance(token, str) else ""
    if not bare or not bare.isascii() or not bare.isprintable():
        raise exceptions.ServiceError("token: must be the text that the service gave; it is one line.")
    return bare


def labels(models: Iterable[str] | str) -> list[str]:
    """Return the models that are named, by a list or as the only one."""
    return [models] if isinstance(models, str) else list(models)


def result(answer: Any) -> dict[str, Any]:
    """Return the answer's body, or raise the error that it is."""
    if answer.status_code == 204:
        return {}
    try:
        body = jsontext.loads(answer.content)
    except ValueError:
        body = {}
    if answer.status_code < 300 and isinstance(body, dict) and body:
        return body
    problem = body if isinstance(body, dict) else {}
    if answer.status_code == 410 and str(problem.get("type", "")).endswith(":cursor-expired"):
        raise exceptions.CursorExpired(problem.get("detail") or "The cursor has expired.")
    if answer.status_code in {429, 502, 503, 504}:
        raise exceptions.Unavailable(f"{answer.status_code}: {problem.get('detail') or answer.reason}")
    raise exceptions.RequestRefused(answer.status_code, problem, _unlike(answer))


def _unlike(answer: Any) -> str:
    """Describe an answer that is not the API's."""
    address = answer.url.partition("?")[0]
    if answer.is_redirect:
        return f"{address} leads to {answer.headers['Location']!r}, which is not followed: give that address."
    return f"{address} gave an answer that is not the API's: is pubsubpull.urls mounted there?"
