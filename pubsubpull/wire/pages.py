"""Pages, written by a service and read by those that pull: JSON text, of which only what stands around it is parsed.

PostgreSQL writes a space after each comma and colon of row data; between the parts of a page there is none. A page of
another implementation may look otherwise and is then parsed as a whole.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pubsubpull.wire import jsontext, ops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_EMPTY = '{"items":[]'
_ITEMS = ',"items":'
_NEXT = '],"next":'
_ROW = '{"key":"'
_END = re.compile(r'"cursor":"([^"\\]*)","more":(true|false)\}\s*\Z')
OP_TEXTS = {letter: f',"{name}",' for letter, name in ops.WIRE.items()}
"""The text between the key and the row of a change in a compact page, by the letter of the operation."""
_TAIL = 1000
"""Characters at the end of a page among which its cursor is looked for; a longer one has the page parsed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """A page of changes as JSON text."""

    body: str
    previous: str
    """The cursor that it goes on from."""
    cursor: str
    """The cursor after it."""
    more: bool
    """True where the log had further changes already."""

    @property
    def empty(self) -> bool:
        """True if it has no changes, as most that were waited for."""
        return self.body.startswith(_EMPTY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The changes of one model in a compact page."""

    columns: tuple[str, ...]
    items: str
    """A JSON array of changes, whose rows are the values of `columns`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compact:
    """A compact page of changes, by model."""

    parts: Mapping[str, Part]
    previous: str
    """The cursor that it goes on from."""
    cursor: str
    """The cursor after it."""
    more: bool
    """True where the log had further changes already."""

    @property
    def empty(self) -> bool:
        """True if it has no changes."""
        return not self.parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """A page of rows as JSON text."""

    body: str
    last: str | None
    """The key to go on after; None where these rows were the last."""
    count: int


def write(items: bytes, *, cursor: str, more: bool) -> bytes:
    """Return the body of a page of changes, whose items have commas between them."""
    return b"".join([b'{"items":[', items, b"]", _end(cursor, more=more)])


def read(body: str, *, previous: str) -> Page:
    """Return the page of changes with this body. Raises `ValueError` where it is none."""
    end = _END.search(body[-_TAIL:])
    if end:
        return Page(body=body, previous=previous, cursor=end[1], more=end[2] == "true")
    try:
        said = jsontext.loads(body)
        return Page(body=body, previous=previous, cursor=str(said["cursor"]), more=bool(said["more"]))
    except (KeyError, TypeError) as error:
        raise ValueError("no page of changes") from error


def write_pushed(items: Iterable[str], said: Mapping[str, str]) -> bytes:
    """Return the body of a page of changes that is pushed; `said` are JSON texts by name, which come before them."""
    begin = ",".join([f'"{name}":{text}' for name, text in said.items()])
    return f'{{{begin},"items":[{",".join(items)}]}}'.encode()


def write_compact(parts: bytes, *, cursor: str, more: bool) -> bytes:
    """Return the body of a compact page, of whose models each has a line of its own, as `write_parts` makes them."""
    return b"".join([b'{"models":{\n', parts, b"\n}" if parts else b"}", _end(cursor, more=more)])


def write_parts(parts: Iterable[tuple[str, bytes, bytes]]) -> bytes:
    """Return the lines of a compact page: of each model the label, its columns as a JSON array, and its items."""
    return b",\n".join(
        [
            b"".join([json.dumps(label).encode(), b':{"columns":', columns, b',"items":[', items, b"]}"])
            for label, columns, items in parts
        ]
    )


def read_compact(body: str, *, previous: str) -> Compact | None:
    """Return the compact page with this body, None where it is no such page, or not written as `write_compact` does."""
    try:
        _, *lines, last = body.split("\n")
        parts = dict(map(_part, lines))
    except (ValueError, KeyError, TypeError):
        return None
    end = _END.search(last)
    if end is None or len(parts) < len(lines):  # a model comes once
        return None
    return Compact(parts=parts, previous=previous, cursor=end[1], more=end[2] == "true")


def write_rows(model: str, items: str, *, following: str | None, cursor: str) -> str:
    """Return the body of a page of rows; `following` is the address of the next page."""
    return f'{{"model":{json.dumps(model)},"items":[{items}],"next":{json.dumps(following)},"cursor":"{cursor}"}}'


def read_rows(body: str) -> Rows:
    """Return the page of rows with this body. Raises `ValueError` where it is none."""
    begin = body.rfind(_NEXT)
    try:
        following = json.loads("{" + body[begin + 2 :])["next"] if begin >= 0 else jsontext.loads(body)["next"]
        last = parse_qs(urlsplit(following).query, keep_blank_values=True)["after"][0] if following else None
    except (KeyError, TypeError) as error:
        raise ValueError("no page of rows") from error
    return Rows(body=body, last=last, count=body.count(_ROW))


def write_some_rows(model: str, items: str) -> str:
    """Return the body of an answer with the rows of some keys."""
    return f'{{"model":{json.dumps(model)},"items":[{items}]}}'


def write_dead_letter(said: Mapping[str, Any], item: str) -> str:
    """Return a dead letter: what is said of it, and its change, which is passed on as it was written."""
    return f'{json.dumps(said)[:-1]},"change":{item}}}'


def write_list(items: str, *, following: str | None) -> str:
    """Return the body of a page of anything else; `following` is the address of the next page."""
    return f'{{"items":[{items}],"next":{json.dumps(following)}}}'


def write_items(items: Iterable[str]) -> str:
    """Return the body of a page that is kept for its items alone."""
    return f'{{"items":[{",".join(items)}]}}'


def _end(cursor: str, *, more: bool) -> bytes:
    return f',"cursor":"{cursor}","more":{"true" if more else "false"}}}'.encode()


def _part(line: str) -> tuple[str, Part]:
    """Return a model and its part of a compact page. Of the line only the part before its items is parsed."""
    begin, _, items = line.partition(_ITEMS)  # a text in it has its quotes escaped
    ((model, shape),) = json.loads(f"{{{begin}}}}}").items()
    return model, Part(columns=tuple(shape["columns"]), items=items.removesuffix(",").removesuffix("}"))
