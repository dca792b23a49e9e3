"""Callbacks that are URI Templates: RFC 6570 at level 1, with the variables model, key and version."""

from __future__ import annotations

import re
import urllib.parse

from pubsubpull import exceptions

VARIABLES = ("model", "key", "version")
EXPRESSION = re.compile(r"\{([^{}]*)\}")
URL_LIMIT = 2000
"""The most characters of an expanded URL."""


class Unexpandable(ValueError):
    """A change with a key that makes no URL."""


def check(template: str) -> None:
    """Raise `SubscriptionError` for a template with a wrong form, or with variables outside of path and query."""
    for name in EXPRESSION.findall(template):
        if name not in VARIABLES:
            raise exceptions.SubscriptionError(
                "callback", f"has {{{name[:100]}}} in it; variables are {', '.join(f'{{{v}}}' for v in VARIABLES)}."
            )
    bare = EXPRESSION.sub("", template)
    if "{" in bare or "}" in bare:
        raise exceptions.SubscriptionError("callback", "has a brace in it that is not part of a variable.")
    # Not in the host: the key of a row could otherwise send changes to any server.
    if EXPRESSION.search("/".join(template.split("/", 3)[:3])):
        raise exceptions.SubscriptionError("callback", "may have variables in its path and query only.")


def expand(template: str, *, model: str, key: str | None, version: int) -> str:
    """Return the URL for a change; raise `Unexpandable` if there is none.

    All characters except letters, digits and `-._~` are percent-encoded, so no value can change the URL around it.
    With `https://x/{key}`, a/b → https://x/a%2Fb; a truncate has no key: https://x/.
    """
    values = {"model": model, "key": key or "", "version": str(version)}
    url = EXPRESSION.sub(lambda match: urllib.parse.quote(values[match[1]], safe=""), template)
    if len(url) > URL_LIMIT:
        raise Unexpandable(f"its key is too long for a URL: {len(url)} characters, of at most {URL_LIMIT}")
    if not {".", ".."}.isdisjoint(url.split("?")[0].split("/")):
        # Refused, since they cannot be encoded: a percent-encoded dot means the same.
        raise Unexpandable("its key is one or two dots, which name a folder in a URL")
    return url


def example(template: str) -> str:
    """Return an expansion of the template, for the checks of URLs."""
    return EXPRESSION.sub("x", template)


def stem(callback: str) -> str:
    """Return the URL to ask for consent: the callback up to the folder before its first variable.

    https://x/customers/{key}/ → https://x/customers/; https://x/c?k={key} → https://x/c
    """
    before, brace, _ = callback.partition("{")
    if not brace:
        return callback
    path, query, _ = before.partition("?")
    return path if query else path[: path.rindex("/") + 1]
