"""Validation of a notification's body: it must be a page of changes."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from pubsubpull.log.cursor import LARGEST_ID
from pubsubpull.replica.pages import Page
from pubsubpull.wire import jsontext, ops

if TYPE_CHECKING:
    from collections.abc import Callable

NO_TEXT = re.compile(
    r"(?<!\\)(?:\\\\)*\\u(?:0000|d[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f])", re.IGNORECASE
)
"""JSON escapes that PostgreSQL accepts in no text: the character NUL, and an unpaired surrogate."""


class Malformed(Exception):
    """The body is no page of changes; the text names the wrong part."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notified:
    """A valid notification."""

    subscription: str
    """The name of its subscription."""
    page: Page
    """Its changes."""


def read(body: bytes) -> Notified:
    """Return the notification in a body. Raises `Malformed`."""
    try:
        text = body.decode()
        content = jsontext.loads(text)
    except ValueError as error:
        raise Malformed("The body is not JSON in UTF-8.") from error
    # The cheap test comes first: most bodies have no escapes, and the expression is slow on large ones.
    if "\\u" in text and NO_TEXT.search(text):
        raise Malformed("The body has a text with the character NUL, or with half of a surrogate pair.")
    if not isinstance(content, dict):
        raise Malformed("The body is not an object.")
    for field, fits in _PAGE.items():
        if not fits(content.get(field)):
            raise Malformed(f"{field}: does not match the wire format.")
    for index, item in enumerate(content["items"]):
        if wrong := next((field for field, fits in _CHANGE.items() if not fits(item.get(field))), None):
            raise Malformed(f"items[{index}].{wrong}: does not match the wire format.")
    page = Page(body=text, previous=content["previous"], cursor=content["cursor"], more=content["more"])
    return Notified(subscription=content["subscription"], page=page)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_row(value: Any) -> bool:
    return value is None or isinstance(value, dict)


_PAGE: dict[str, Callable[[Any], bool]] = {
    "subscription": _is_text,
    "previous": _is_text,
    "cursor": _is_text,
    "more": lambda value: isinstance(value, bool),
    "items": lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
}
_CHANGE: dict[str, Callable[[Any], bool]] = {
    # The exact type: True and False are instances of int.
    "version": lambda value: type(value) is int and abs(value) <= LARGEST_ID,
    "model": _is_text,
    "key": lambda value: value is None or _is_text(value),
    "op": lambda value: _is_text(value) and value in ops.OP_NAMES,
    "old": _is_row,
    "new": _is_row,
}
