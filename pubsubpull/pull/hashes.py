"""Hashes of rows, by which two tables on different databases are compared without sending the rows."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, NamedTuple

from django.db import DatabaseError, DataError
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.capture import sql
from pubsubpull.log import sizes
from pubsubpull.pull import instances

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pubsubpull.capture.registry import Publication

VALUES = 1000
"""The most values of a condition, of all its columns together."""
Key = list[str] | None
"""The text of each of a key's columns; None is the beginning or the end."""


class Range(NamedTuple):
    """The hash of a range of keys."""

    rows: int
    """The number of rows."""
    hash: int
    """One hash of all the rows, of 64 bits."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """The hashed part of a table: columns in the order that both sides agree on, masked columns as their constant."""

    relation: str
    """The quoted name of the table."""
    keys: list[str]
    """The columns of the primary key."""
    columns: list[str]
    """The hashed columns, sorted."""
    masked: list[str] = dataclasses.field(default_factory=list)
    """The columns that are hashed as their constant."""

    def ranges(self, ends: Sequence[tuple[Key, Key]], *, where: str = "{}", using: str) -> list[Range]:
        """Return the hash of each range of keys. A range is after its first end, and up to its second."""
        query = sql.compose("queries/hashes/ranges", bounds=json.dumps(ends), filter=where, **self._parts())
        with sql.savepoint(using):
            return [Range(*row) for row in sql.run_within(using, query)]

    def rows(
        self, after: Key, until: Key, *, where: str = "{}", limit: int | None = None, using: str
    ) -> list[tuple[str, int]]:
        """Return the key and the hash of each row of a range, at most `limit`, by key."""
        query = sql.compose("queries/hashes/rows", filter=where, past=after, until=until, limit=limit, **self._parts())
        with sql.savepoint(using):
            return [(key, hash_) for key, hash_ in sql.run_within(using, query)]

    def fit(self, ends: Sequence[tuple[Key, Key]], *, where: str = "{}", using: str) -> bool:
        """Return True if the ends of ranges, and the condition, are of the columns' types: no row is read."""
        try:
            for after, until in ends:
                self.rows(after, until, where=where, limit=0, using=using)
        except (DataError, UnicodeEncodeError):
            return False
        return True

    def _parts(self) -> dict[str, object]:
        return {"relation": self.relation, "keys": self.keys, "columns": self.columns, "masked": self.masked}


def of(publication: Publication, columns: Collection[str] | None, *, using: str) -> Table:
    """Return the hashed part of a published table: all that readers get, or only `columns`. Raises `InvalidColumn`."""
    sent = _sent(publication, using)
    # An excluded column is as unknown as any other: by its hash, a reader could guess a value of few possible ones.
    if unknown := sorted(set(columns or ()) - set(sent)):
        raise exceptions.InvalidColumn(f"{publication.label} has no column {unknown[0][:100]!r}.")
    return Table(
        relation=_relation(publication).as_string(),
        keys=publication.key_columns,
        columns=sorted(sent if columns is None else set(columns)),
        masked=publication.masked_columns,
    )


def checked_where(publication: Publication, where: str, *, using: str) -> str:
    """Return a condition: a JSON object of columns with lists of values. Raises `InvalidColumn` for any other text."""
    try:
        read = json.loads(where)
    except (ValueError, RecursionError) as error:
        raise exceptions.InvalidColumn("It is a JSON object of columns, each with a list of values.") from error
    if (
        not isinstance(read, dict)
        or not all(isinstance(values, list) for values in read.values())
        or "\\u0000" in where
    ):
        raise exceptions.InvalidColumn("It is a JSON object of columns, each with a list of values.")
    # Each value is compared with each row: a call must not choose the work of the database.
    if sum(map(len, read.values())) > VALUES:
        raise exceptions.InvalidColumn(f"It has {VALUES} values at most, those of all columns together.")
    of(publication, read, using=using)
    return where


def bounds(publication: Publication, *, each: int, most: int, using: str) -> list[str]:
    """Return keys that split a table into ranges of about `each` rows, at most `most`, in the order of hashes."""
    sent = _sent(publication, using)
    # By "C": both databases have to sort alike, whatever their collations are.
    ordered = [
        psql.SQL('{} COLLATE "C"' if sent[name] else "{}").format(psql.Identifier(name))
        for name in publication.key_columns
    ]
    parts = psql.SQL("least({}, greatest(1, rows / {}))").format(most, each)
    return instances.split(publication, ordered=ordered, parts=parts, using=using)[1]


def rows(publication: Publication, keys: Sequence[str], *, using: str) -> str:
    """Return the items of the rows with these keys, all of one snapshot, as JSON text.

    Raises `InvalidKey`, `Unreadable`, and `TooLarge` if the rows of several keys have more bytes than a page may have.
    """
    query = sql.compose(
        "queries/instances/by_key",
        keys=json.dumps([instances.parts(publication, key) for key in keys]),
        relation=_relation(publication).as_string(),
        label=publication.label,
        columns=publication.key_columns,
        excluded=publication.excluded_columns,
        known=publication.known_columns,
        masked=publication.masked_columns,
        size=sizes.PAGE_BYTES,
    )
    try:
        with sql.savepoint(using):
            ((items,),) = sql.run_within(using, query)
    except (DatabaseError, UnicodeEncodeError) as error:
        if is_away(error):
            raise
        for key in keys:  # the one that fails raises its own error
            instances.one(publication, key, using=using)
        raise
    if items is None:
        raise exceptions.TooLarge(
            f"The rows of these {len(keys)} keys have more than {sizes.PAGE_BYTES} bytes: ask for fewer."
        )
    return str(items)


def _sent(publication: Publication, using: str) -> dict[str, bool]:
    query = sql.compose(
        "queries/hashes/sent_columns",
        relation=_relation(publication).as_string(),
        excluded=publication.excluded_columns,
        known=publication.known_columns,
    )
    return {str(name): bool(collated) for name, collated in sql.run(using, query)}


def _relation(publication: Publication) -> psql.Identifier:
    return psql.Identifier(*filter(None, publication.table))
