"""Effects: the protocol of everything that applies the changes of another service.

A replica's table is an effect, and so are the handlers of a source. The position of an effect is stored under its
name. An effect never commits: its writes and the move of its position are one transaction.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pubsubpull.replica.declaration import OnFailure, Replica
    from pubsubpull.replica.pages import Page


@runtime_checkable
class Effect(Protocol):
    """Applies the changes of one source, in the caller's transaction."""

    @property
    def name(self) -> str:
        """The name of the effect's position."""

    @property
    def source(self) -> str:
        """The model that the effect follows, as app_label.modelname."""

    @property
    def service(self) -> str:
        """The service of the source."""

    @property
    def on_failure(self) -> OnFailure:
        """The reaction to a change that fails: `wait` for ever, or `park` the change after some attempts."""

    @property
    def shape(self) -> str:
        """A digest of the declaration. If it differs from the stored digest, the rows must be copied again."""

    @property
    def from_start(self) -> bool:
        """Return True if it begins with the first change of the log; False if a copy, or the present, comes first."""

    @property
    def table(self) -> Replica | None:
        """The declaration of the table that the effect fills; None if it fills no table."""

    def reads(self) -> frozenset[str]:
        """Return the names of the source's columns that the effect reads."""

    def plain(self) -> bool:
        """Return True if SQL statements alone apply a change, and no Python function looks at a row or change."""

    def copies(self) -> bool:
        """Return True if a crash may lose the effect's last writes along with its position: it only writes a copy."""

    def apply(self, staged: Staged, *, using: str) -> None:
        """Apply the staged changes of the source. Raises `ReplicaFailed` and the errors of the database."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary of the staged changes of one source."""

    truncated: int = 0
    """The ordinal of the last truncate; 0 without a truncate."""
    rows: int = 0
    """The number of inserts and updates."""
    whole: bool = True
    """True if each inserted or updated row has all columns that the effects read."""
    uncaptured: bool = False
    """True if rows may have changed at the source without an entry in the log."""

    def then(self, truncated: int, rows: int, whole: bool, uncaptured: bool) -> Summary:
        """Return the summary after another page."""
        return Summary(
            truncated=max(self.truncated, truncated),
            rows=self.rows + rows,
            whole=self.whole and whole,
            uncaptured=self.uncaptured or uncaptured,
        )


class Changes:
    """The changes of some pages, decoded for effects that look at each change."""

    def __init__(self, pages: Iterable[Page] = (), *, left_out: Collection[int] = ()) -> None:
        self._pages = pages
        self._left_out = frozenset(left_out)
        self._last: tuple[int, list[dict[str, Any]]] | None = None

    def of(self, source: str) -> Iterator[list[dict[str, Any]]]:
        """Yield for each page the list of its changes of a source, in order."""
        for number, page in enumerate(self._pages):
            yield [item for item in self._read(number, page) if item["model"] == source]

    def _read(self, number: int, page: Page) -> list[dict[str, Any]]:
        # Keep only the last decoded page: each effect asks for it, and more pages may not fit into memory.
        if self._last is None or self._last[0] != number:
            items = [] if page.empty else jsontext.row(page.body)["items"]
            self._last = (number, [item for item in items if item["version"] not in self._left_out])
        return self._last[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staged:
    """The input of effects: changes of one or more pages, staged in a temporary table of the session."""

    summaries: Mapping[str, Summary]
    """A summary for each staged source. Effects of other sources are not applied."""
    changes: Changes = dataclasses.field(default_factory=Changes)
    """The decoded changes; empty when the rows of a copy are staged."""
    one_by_one: bool = False
    """True if changes must be applied one by one, since a unique value moves from row to row."""
    types: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """The types of the tables' columns, by effect and column, as far as they were read already."""
    absent: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """The columns that the source was seen not to send, by effect. Effects update this dict."""
