"""Callbacks that are URI Templates: RFC 6570 at level 1, with the variables model, key and version."""

from __future__ import annotations

import re
import urllib.parse

from pubsubpull import exceptions

VARIABLES = ("model", "key", "version")
EXPRESSION = re.compile(r"\{([^{}]*)\}")
URL_LIMIT = 2000
"""The most characters of a URL that a change is sent to."""


class Unexpandable(ValueError):
    """A change whose key makes no URL."""


def check(template: str) -> None:
    """Raise `SubscriptionError` for a template that cannot be expanded, or whose variables could choose the host."""
    for name in EXPRESSION.findall(template):
        if name not in VARIABLES:
            raise exceptions.SubscriptionError(
                "callback", f"has {{{name[:100]}}} in it; variables are {', '.join(f'{{{v}}}' for v in VARIABLES)}."
            )
    bare = EXPRESSION.sub("", template)
    if "{" in bare or "}" in bare:
        raise exceptions.SubscriptionError("callback", "has a brace in it that is not part of a variable.")
    if EXPRESSION.search("/".join(template.split("/", 3)[:3])):
        raise exceptions.SubscriptionError("callback", "may have variables in its path and query only.")


def expand(template: str, *, model: str, key: str | None, version: int) -> str:
    """Return the URL for a change. What is no letter, digit or `-._~` is percent-encoded, so no value leaves its place.

    With `https://x/{key}`, a/b → https://x/a%2Fb; a truncate has no key: https://x/. Raises `Unexpandable`.
    """
    values = {"model": model, "key": key or "", "version": str(version)}
    url = EXPRESSION.sub(lambda found: urllib.parse.quote(values[found[1]], safe=""), template)
    if len(url) > URL_LIMIT:
        raise Unexpandable(f"its key is too long for a URL: {len(url)} characters, of at most {URL_LIMIT}")
    if not {".", ".."}.isdisjoint(url.split("?")[0].split("/")):
        # These have no other spelling: percent-encoded they mean the same.
        raise Unexpandable("its key is a dot or two, which in a URL name a folder")
    return url


def example(template: str) -> str:
    """Return what the template may expand to, to be judged as a URL."""
    return EXPRESSION.sub("x", template)


def stem(callback: str) -> str:
    """Return where to ask for consent: the callback up to what its variables decide.

    https://x/customers/{key}/ → https://x/customers/; https://x/c?k={key} → https://x/c
    """
    before, brace, _ = callback.partition("{")
    if not brace:
        return callback
    path, query, _ = before.partition("?")
    return path if query else path[: path.rindex("/") + 1]
