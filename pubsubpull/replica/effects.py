"""Effects: what the changes of another service do here, in the transaction that moves the position.

A table that is filled, handlers that are called, and whatever else follows a source, have this protocol. An effect
has a name, under which its position is kept, and it never commits: it and the position hold together.
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
    """What follows a source."""

    @property
    def name(self) -> str:
        """The name of its position."""

    @property
    def source(self) -> str:
        """The model that it follows, as app_label.modelname."""

    @property
    def service(self) -> str:
        """The service that has the source."""

    @property
    def on_failure(self) -> OnFailure:
        """Whether it waits when it cannot take a change, or parks that change after some tries."""

    @property
    def shape(self) -> str:
        """A digest of the declaration. If it differs from what was copied, the rows must be copied again."""

    @property
    def table(self) -> Replica | None:
        """The declared table that it fills; None if it fills none."""

    def reads(self) -> frozenset[str]:
        """Return the source's columns that it takes from each row."""

    def plain(self) -> bool:
        """Return True if PostgreSQL applies it by a statement alone, and no function has to look at a row or change."""

    def copies(self) -> bool:
        """Return True if all that it writes is a copy, which a crash may lose along with the position."""

    def apply(self, staged: Staged, *, using: str) -> None:
        """Apply what is staged of its source. Raises `ReplicaFailed`, and what the database does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What is staged of a source."""

    truncated: int = 0
    """The ordinal of its last truncate; 0 if there is none."""
    rows: int = 0
    """How many rows were inserted or updated."""
    whole: bool = True
    """True if each of these rows has all columns that its effects read."""
    uncaptured: bool = False
    """True if rows may have changed at the source without changes in its log."""

    def then(self, truncated: int, rows: int, whole: bool, uncaptured: bool) -> Summary:
        """Return the summary after another page."""
        return Summary(
            truncated=max(self.truncated, truncated),
            rows=self.rows + rows,
            whole=self.whole and whole,
            uncaptured=self.uncaptured or uncaptured,
        )


class Changes:
    """The changes in pages, as Python reads them, for effects that look at each."""

    def __init__(self, pages: Iterable[Page] = (), *, left_out: Collection[int] = ()) -> None:
        self._pages = pages
        self._left_out = frozenset(left_out)
        self._last: tuple[int, list[dict[str, Any]]] | None = None

    def of(self, source: str) -> Iterator[list[dict[str, Any]]]:
        """Give, page by page, the changes of a source in order."""
        for number, page in enumerate(self._pages):
            yield [item for item in self._read(number, page) if item["model"] == source]

    def _read(self, number: int, page: Page) -> list[dict[str, Any]]:
        # The last page is kept: mostly there is one, and each effect asks for it. More may not fit into memory.
        if self._last is None or self._last[0] != number:
            items = [] if page.empty else jsontext.row(page.body)["items"]
            self._last = (number, [item for item in items if item["version"] not in self._left_out])
        return self._last[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Staged:
    """What effects apply: changes of one or more pages, staged in a temporary table of the session."""

    summaries: Mapping[str, Summary]
    """What is staged, by source. An effect is applied only if its source is among them."""
    changes: Changes = dataclasses.field(default_factory=Changes)
    """The changes as Python reads them. The rows of a copy are no changes."""
    one_by_one: bool = False
    """True if changes are to be applied one by one, since a unique value moves from row to row."""
    types: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """The types of tables' columns, by effect, where they are known already."""
    absent: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """The columns that sources were seen not to send, by effect. Effects add what they see."""
