"""A model's rows as a file: compressed lines of JSON, with the cursor to go on from.

The first line names the model and has the cursor, which was taken before the first row. Each further line is a row.
The last line has the number of rows, so that a truncated file is noticed. Each page is a gzip member of its own:
an interrupted dump goes on after the last whole member, with the same cursor.
"""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from typing import TYPE_CHECKING, BinaryIO

from pubsubpull import conf, exceptions
from pubsubpull.capture import clock
from pubsubpull.log import expiry, feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import instances
from pubsubpull.wire import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.capture.registry import Publication

DUMP_PAGE = 1000
"""Rows of one page of a dump."""
LEVEL = 3
"""The level of compression. Higher levels take longer than PostgreSQL takes to read the rows."""


@dataclasses.dataclass(kw_only=True)
class _Part:
    """The usable part of an interrupted file."""

    size: int = 0
    """The length in bytes, up to the last whole member."""
    rows: int = 0
    """The number of rows in it."""
    last: str | None = None
    """The key of the last row."""
    cursor: str = ""
    """The cursor of the file's head; empty if there is no head."""
    whole: bool = False
    """True if the file is complete."""


def dump(publication: Publication, file: BinaryIO, *, using: str) -> int:
    """Write a model's rows into a file; return their number."""
    # Before the first row: changes made while the rows are read come after this cursor.
    cursor = feed.present(using).cursor().encode()
    _member(file, [_head(publication, cursor)])
    return _rows(publication, file, _Part(cursor=cursor), using)


def resume(publication: Publication, file: BinaryIO, *, using: str) -> int:
    """Complete an interrupted file, open for reading and writing; return its number of rows.

    Raises `DumpError` for any other file, and `CursorExpired` if the log no longer has the changes after its cursor.
    """
    part = _part(publication, file)
    file.seek(part.size)
    if part.whole:
        return part.rows
    # A half-written member after the last whole member would make the rest of the file unreadable.
    file.truncate()
    if not part.cursor:
        return dump(publication, file, using=using)
    # Rows from before and after a gap in the log would not add up to a state.
    expiry.check(Cursor.decode(part.cursor), feed.present(using))
    return _rows(publication, file, part, using)


def _head(publication: Publication, cursor: str) -> str:
    at = clock.moment(conf.get().DATABASE).isoformat()
    return dumps.write_head(service=conf.get().SERVICE_NAME, model=publication.label, cursor=cursor, at=at)


def _rows(publication: Publication, file: BinaryIO, part: _Part, using: str) -> int:
    after, count = part.last, part.rows
    while True:
        page = instances.page(publication, after=after, limit=DUMP_PAGE, using=using)
        if page.count:
            _member(file, [dumps.write_rows(page.items)])
        count, after = count + page.count, page.last
        if not page.full:
            # Last: a reader knows by this line that the file is complete.
            _member(file, [dumps.write_end(count)])
            return count


def _member(file: BinaryIO, lines: list[str]) -> None:
    # A member a page: its checksum tells an interrupted dump up to where the file can be used.
    file.write(gzip.compress("".join(line + "\n" for line in lines).encode(), LEVEL))
    file.flush()


def _part(publication: Publication, file: BinaryIO) -> _Part:
    """Return the part of the file up to its last whole member."""
    part = _Part()
    for size, text in _members(file):
        # Not splitlines(), which also splits at the other line ends that texts of rows may have.
        lines = text.split("\n")[:-1]
        if not part.cursor:
            part.cursor = dumps.read_head(lines[0], model=publication.label)["cursor"]
            lines = lines[1:]
        if lines and dumps.read_end(lines[-1]) is not None:
            part.whole = True
        elif lines:
            part.rows += len(lines)
            part.last = dumps.key(lines[-1])
        part.size = size
    return part


def _members(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the end of each whole member, in bytes from the file's beginning, and its text."""
    # Not the module gzip, which does not tell where a member ends. 31: the largest window, and gzip's header.
    file.seek(0)
    reader, end, text, rest = zlib.decompressobj(31), 0, bytearray(), b""
    while data := rest or file.read(1 << 16):
        try:
            text += reader.decompress(data)
        except zlib.error as error:
            # The bytes after the last whole member are written again.
            if end:
                return
            raise exceptions.DumpError("This is no dump: it is not compressed by gzip.") from error
        rest = reader.unused_data
        end += len(data) - len(rest)
        if reader.eof:
            yield end, text.decode()
            reader, text = zlib.decompressobj(31), bytearray()
