"""The demo's measurements and proof, from the shop's log and billing's pages, by queries to both databases."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql as psql

from example.demo import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TABLES = {
    "customer": ("id", "name", "email", "city", "joined"),
    "order": ("id", "customer_id", "reference", "status", "total", "placed"),
    "item": ("id", "order_id", "article", "quantity", "price"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """How far both sides have got since some moment."""

    captured: int
    pages: int
    applied: int
    last_version: int
    last_page: int

    @property
    def lag(self) -> int:
        """How many changes are captured and not yet applied."""
        return self.captured - self.applied


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivery:
    """The delivery of each change: `delays` are seconds from commit to applied, by version."""

    missing: int
    twice: int
    strange: int
    delays: dict[int, float]
    exact: bool

    def percentile(self, share: float, first: int, last: int) -> float:
        """Return the delay, in seconds, that this share of the changes above `first` up to `last` had at most."""
        delays = sorted(delay for version, delay in self.delays.items() if first < version <= last)
        return delays[min(int(len(delays) * share), len(delays) - 1)] if delays else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table here and its copy there."""

    table: str
    rows: tuple[int, int]
    hashes: tuple[str, str]

    @property
    def equal(self) -> bool:
        """Whether both have the same rows."""
        return len(set(self.rows)) == len(set(self.hashes)) == 1


class Databases:
    """Both databases, asked by one thread at a time."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._shop = psycopg.connect(urls["shop"], autocommit=True)
        self._billing = psycopg.connect(urls["billing"], autocommit=True)

    def close(self) -> None:
        """Close the connections."""
        self._shop.close()
        self._billing.close()

    def progress(self, *, version: int = 0, page: int = 0) -> Progress:
        """Return how far both have got after a version and a page."""
        pages, applied, last_page = _one(self._billing, "applied", after=page)
        captured, last_version = _one(self._shop, "seen", after=version)
        return Progress(captured=captured, pages=pages, applied=applied, last_version=last_version, last_page=last_page)

    def delivery(self, version: int) -> Delivery:
        """Follow each change after a version from the log to billing."""
        (exact,) = _one(self._shop, "commit_times")
        committed = dict(self._shop.execute(sql.read("commits" if exact else "writes"), {"after": version}))
        arrivals = self._billing.execute(sql.read("arrivals" if exact else "arrivals_written")).fetchall()
        arrived = dict(arrivals)
        return Delivery(
            missing=len(committed.keys() - arrived.keys()),
            twice=len(arrivals) - len(arrived),
            strange=len(arrived.keys() - committed.keys()),
            delays={id_: arrived[id_] - at for id_, at in committed.items() if id_ in arrived},
            exact=exact,
        )

    def compare(self) -> list[Comparison]:
        """Count and hash each table and its copy."""
        return [self._compare(table, columns) for table, columns in TABLES.items()]

    def _compare(self, table: str, columns: Sequence[str]) -> Comparison:
        shop = _fingerprint(self._shop, f"shop_{table}", columns)
        billing = _fingerprint(self._billing, f"billing_{table}", columns)
        return Comparison(table=table, rows=(shop[0], billing[0]), hashes=(shop[1], billing[1]))


def _one(connection: psycopg.Connection[Any], name: str, **values: Any) -> tuple[Any, ...]:
    (row,) = connection.execute(sql.read(name), values or None).fetchall()
    return tuple(row)


def _fingerprint(connection: psycopg.Connection[Any], table: str, columns: Iterable[str]) -> tuple[int, str]:
    statement = psql.SQL(sql.read("fingerprint")).format(  # type: ignore[arg-type]
        columns=psql.SQL(", ").join(map(psql.Identifier, columns)), table=psql.Identifier(table)
    )
    ((count, digest),) = connection.execute(statement).fetchall()
    return count, digest
