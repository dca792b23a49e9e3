"""Pages as a service writes them and as its readers parse them: JSON text whose rows are passed on unparsed.

PostgreSQL writes a space after each comma and colon of row data; between the parts of a page there is none. A page of
another implementation may be formatted differently, and is then parsed as a whole.
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
_ROW_START = '{"key":"'
# A cursor has no quote and no backslash, and row data has a space after each colon: only the page's end matches.
_PAGE_END = re.compile(r'"cursor":"([^"\\]*)","more":(true|false)\}\s*\Z')
COMPACT_OP_TEXTS = {letter: f',"{name}",' for letter, name in ops.WIRE.items()}
"""The text between the key and the row of a change in a compact page, by the letter of the operation."""
_TAIL = 1000
"""Characters at the end of a page that are searched for its cursor. With a longer cursor, the page is parsed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """A page of changes as JSON text."""

    body: str
    """The whole page."""
    previous: str
    """The cursor before the page."""
    cursor: str
    """The cursor after the page."""
    more: bool
    """True if the log had further changes when the page was read."""

    @property
    def empty(self) -> bool:
        """True if the page has no changes."""
        # By its text: most pages that a follower gets are empty, and are not parsed.
        return self.body.startswith(_EMPTY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """The changes of one model in a compact page."""

    columns: tuple[str, ...]
    """The names of the columns."""
    items: str
    """A JSON array of changes. The row of a change is the array of its values, in the order of `columns`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compact:
    """A compact page of changes, by model."""

    parts: Mapping[str, Part]
    """The changes by the label of their model."""
    previous: str
    """The cursor before the page."""
    cursor: str
    """The cursor after the page."""
    more: bool
    """True if the log had further changes when the page was read."""

    @property
    def empty(self) -> bool:
        """True if the page has no changes."""
        return not self.parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """A page of rows as JSON text."""

    body: str
    """The whole page."""
    last: str | None
    """The key after which the next page begins; None if this page is the last."""
    count: int
    """The number of rows."""


def write(items: bytes, *, cursor: str, more: bool) -> bytes:
    """Return the body of a page of changes. `items` are JSON texts with commas between them."""
    return b"".join([b'{"items":[', items, b"]", _end(cursor, more=more)])


def read(body: str, *, previous: str) -> Page:
    """Return the page of changes with this body. Raises `ValueError` if the body is no such page."""
    # Only the end is searched: the items may be megabytes.
    end = _PAGE_END.search(body[-_TAIL:])
    if end:
        return Page(body=body, previous=previous, cursor=end[1], more=end[2] == "true")
    try:
        page = jsontext.loads(body)
        return Page(body=body, previous=previous, cursor=str(page["cursor"]), more=bool(page["more"]))
    except (KeyError, TypeError) as error:
        raise ValueError("no page of changes") from error


def write_pushed(items: Iterable[str], members: Mapping[str, str]) -> bytes:
    """Return the body of a page of changes that is pushed. `members` are JSON texts by name, before the items."""
    begin = ",".join([f'"{name}":{text}' for name, text in members.items()])
    return f'{{{begin},"items":[{",".join(items)}]}}'.encode()


def write_compact(parts: bytes, *, cursor: str, more: bool) -> bytes:
    """Return the body of a compact page. `parts` are the lines that `write_parts` returns, one a model."""
    return b"".join([b'{"models":{\n', parts, b"\n}" if parts else b"}", _end(cursor, more=more)])


def write_parts(parts: Iterable[tuple[str, bytes, bytes]]) -> bytes:
    """Return the lines of a compact page, of triples: a model's label, its columns as a JSON array, and its items."""
    # A line a model: a reader then finds the models by splitting the text, without parsing the rows.
    return b",\n".join(
        [
            b"".join([json.dumps(label).encode(), b':{"columns":', columns, b',"items":[', items, b"]}"])
            for label, columns, items in parts
        ]
    )


def read_compact(body: str, *, previous: str) -> Compact | None:
    """Return the compact page with this body; None if the body is not written as `write_compact` writes it."""
    try:
        # JSON text of PostgreSQL has its line ends escaped: these are only between models.
        _, *lines, last = body.split("\n")
        parts = dict(map(_part, lines))
    # No error: the caller then pulls the page in the other form, which any implementation can write.
    except (ValueError, KeyError, TypeError):
        return None
    end = _PAGE_END.search(last)
    # A model in two lines would lose the changes of the first.
    if end is None or len(parts) < len(lines):
        return None
    return Compact(parts=parts, previous=previous, cursor=end[1], more=end[2] == "true")


def write_rows(model: str, items: str, *, following: str | None, cursor: str) -> str:
    """Return the body of a page of rows. `following` is the URL of the next page; None after the last."""
    return f'{{"model":{json.dumps(model)},"items":[{items}],"next":{json.dumps(following)},"cursor":"{cursor}"}}'


def read_rows(body: str) -> Rows:
    """Return the page of rows with this body. Raises `ValueError` if the body is no such page."""
    # From the end: the rows may be megabytes, and are counted, not parsed.
    begin = body.rfind(_NEXT)
    try:
        following = json.loads("{" + body[begin + 2 :])["next"] if begin >= 0 else jsontext.loads(body)["next"]
        last = parse_qs(urlsplit(following).query, keep_blank_values=True)["after"][0] if following else None
    except (KeyError, TypeError) as error:
        raise ValueError("no page of rows") from error
    # Row data has a space after each colon, so that this text begins a row of the page.
    return Rows(body=body, last=last, count=body.count(_ROW_START))


def write_some_rows(model: str, items: str) -> str:
    """Return the body of an answer with the rows of requested keys."""
    return f'{{"model":{json.dumps(model)},"items":[{items}]}}'


def write_dead_letter(members: Mapping[str, Any], item: str) -> str:
    """Return a dead letter as JSON text: its members, and its change as it was written."""
    return f'{json.dumps(members)[:-1]},"change":{item}}}'


def write_list(items: str, *, following: str | None) -> str:
    """Return the body of a page of other items. `following` is the URL of the next page; None after the last."""
    return f'{{"items":[{items}],"next":{json.dumps(following)}}}'


def write_items(items: Iterable[str]) -> str:
    """Return the body of a page that has items and no cursor."""
    return f'{{"items":[{",".join(items)}]}}'


def _end(cursor: str, *, more: bool) -> bytes:
    return f',"cursor":"{cursor}","more":{"true" if more else "false"}}}'.encode()


def _part(line: str) -> tuple[str, Part]:
    """Return a model and its part of a compact page. Only the text before the items is parsed."""
    # The first match ends the head: a quote within a column's name would be escaped.
    begin, _, items = line.partition(_ITEMS)
    ((model, shape),) = json.loads(f"{{{begin}}}}}").items()
    return model, Part(columns=tuple(shape["columns"]), items=items.removesuffix(",").removesuffix("}"))
