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

ROWS_A_PAGE = 1000
LEVEL = 3
"""Of compression: higher ones take longer than PostgreSQL takes for the rows."""


@dataclasses.dataclass(kw_only=True)
class _Part:
    """The usable part of an interrupted file: up to the byte `size`, and the key of its last row."""

    size: int = 0
    rows: int = 0
    last: str | None = None
    cursor: str = ""
    whole: bool = False


def dump(publication: Publication, file: BinaryIO, *, using: str) -> int:
    """Write a model's rows into a file; return how many."""
    # Before the first row: changes made while the rows are read come after this cursor.
    cursor = feed.present(using).cursor().encode()
    _member(file, [_head(publication, cursor)])
    return _rows(publication, file, _Part(cursor=cursor), using)


def resume(publication: Publication, file: BinaryIO, *, using: str) -> int:
    """Go on with an interrupted file, open for reading and writing; return how many rows it has then.

    Raises `DumpError` for another file, and `CursorExpired` where its changes are no longer kept.
    """
    part = _part(publication, file)
    file.seek(part.size)
    if part.whole:
        return part.rows
    # A half-written member behind the last whole one would spoil all that follows.
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
        page = instances.page(publication, after=after, limit=ROWS_A_PAGE, using=using)
        if page.count:
            _member(file, [dumps.write_rows(page.items)])
        count, after = count + page.count, page.last
        if not page.full:
            # Last: a file without this line is known to be cut off.
            _member(file, [dumps.write_end(count)])
            return count


def _member(file: BinaryIO, lines: list[str]) -> None:
    file.write(gzip.compress("".join(line + "\n" for line in lines).encode(), LEVEL))
    file.flush()


def _part(publication: Publication, file: BinaryIO) -> _Part:
    """Read the file up to its last whole member."""
    part = _Part()
    for size, text in _members(file):
        lines = text.split("\n")[:-1]  # rows may hold other line ends
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
    """Give the text of each whole member, and where it ends."""
    file.seek(0)
    reader, place, done, rest = zlib.decompressobj(31), 0, bytearray(), b""
    while data := rest or file.read(1 << 16):
        try:
            done += reader.decompress(data)
        except zlib.error as error:
            if place:
                return  # the bytes behind the last whole member are written anew
            raise exceptions.DumpError("This is no dump: it is not compressed by gzip.") from error
        rest = reader.unused_data
        place += len(data) - len(rest)
        if reader.eof:
            yield place, done.decode()
            reader, done = zlib.decompressobj(31), bytearray()
