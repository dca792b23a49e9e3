"""A notification's body looked at: whether it is a page of changes, before anything is done with it."""

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
"""What PostgreSQL takes in no text, as JSON escapes it: the character NUL, and one half of a surrogate pair alone."""


class Malformed(Exception):
    """A body is no page of changes; says which part of it is not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notified:
    """The subscription that a notification is of, and its page."""

    subscription: str
    page: Page


def read(body: bytes) -> Notified:
    """Return what a notification brings. Raises `Malformed`, which names what is wrong."""
    try:
        text = body.decode()
        given = jsontext.loads(text)
    except ValueError as error:
        raise Malformed("The body is not JSON in UTF-8.") from error
    if "\\u" in text and NO_TEXT.search(text):
        raise Malformed("The body has a text with the character NUL, or with half of a surrogate pair.")
    if not isinstance(given, dict):
        raise Malformed("The body is not an object.")
    for field, fits in _PAGE.items():
        if not fits(given.get(field)):
            raise Malformed(f"{field}: is not as the wire format has it.")
    for index, item in enumerate(given["items"]):
        if wrong := next((field for field, fits in _CHANGE.items() if not fits(item.get(field))), None):
            raise Malformed(f"items[{index}].{wrong}: is not as the wire format has it.")
    page = Page(body=text, previous=given["previous"], cursor=given["cursor"], more=given["more"])
    return Notified(subscription=given["subscription"], page=page)


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
    "version": lambda value: type(value) is int and abs(value) <= LARGEST_ID,
    "model": _is_text,
    "key": lambda value: value is None or _is_text(value),
    "op": lambda value: _is_text(value) and value in ops.OP_NAMES,
    "old": _is_row,
    "new": _is_row,
}
