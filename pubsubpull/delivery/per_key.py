"""Sends the changes of a page one by one: each key's in order, those of different keys at the same time."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from typing import TYPE_CHECKING

from pubsubpull.transports.base import Delivered, Gone, Outcome, Retry, Rewind
from pubsubpull.wire import items, ops

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence

    from pubsubpull.wire.items import Row


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """One page's worth. `width` is how many may be on their way at once; `over` says to begin no more.

    `done` holds the versions that were taken, and grows: a page that is tried again leaves them out. What goes before
    one of the versions `alone` is taken before that is sent, and that before what comes after it.
    """

    send: Callable[[Row], Awaitable[Outcome]]
    width: int
    over: Callable[[], bool]
    done: set[int]
    alone: Collection[int] = ()

    async def run(self, rows: Sequence[Row]) -> Outcome | None:
        """Send what is not done yet. Return `Delivered` if all was taken, else the worst answer; None if broken off."""
        for segment in segments((row for row in rows if row.version not in self.done), self.alone):
            results = await self._segment(segment)
            if results:
                return worst(results)
        return Delivered() if self.done.issuperset([row.version for row in rows]) else None

    async def _segment(self, queues: list[list[Row]]) -> list[Outcome]:
        results: list[Outcome] = []
        waiting = iter(queues)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self.width, len(queues))):
                tasks.create_task(self._work(waiting, results))
        return results

    async def _work(self, waiting: Iterator[list[Row]], results: list[Outcome]) -> None:
        """Send one key's changes after the other's. A key whose change was not taken goes no further, others do."""
        for queue in waiting:
            for row in queue:
                if self.over() or any(ends(result) for result in results):
                    return
                result = await self.send(row)
                if not isinstance(result, Delivered):
                    results.append(result)
                    break
                self.done.add(row.version)


def ends(result: Outcome) -> bool:
    """Say whether nothing else is to be sent after such an answer: it is about more than the one change."""
    return not isinstance(result, Retry) or result.away or bool(result.after)


def worst(results: Sequence[Outcome]) -> Outcome | None:
    """Return the one that decides what follows, None where there is none."""
    kinds = (Gone, Rewind)
    for kind in kinds:
        for result in results:
            if isinstance(result, kind):
                return result
    retries = [result for result in results if isinstance(result, Retry)]
    # Where nobody answered, nothing is said of the changes.
    return min(retries, key=lambda retry: retry.refused) if retries else None


def segments(rows: Iterable[Row], alone: Collection[int] = ()) -> Iterator[list[list[Row]]]:
    """Split changes where order must hold for all: a change of a whole model is by itself, as are the versions `alone`.

    Each segment is a list of keys' changes.
    """
    for by_itself, part in itertools.groupby(rows, key=lambda row: row.op in ops.WHOLE_LETTERS or row.version in alone):
        if by_itself:
            yield from ([[row]] for row in part)
            continue
        queues: dict[tuple[str, str | None], list[Row]] = {}
        for row in part:
            queues.setdefault((row.model, key(row)), []).append(row)
        yield list(queues.values())


def key(row: Row) -> str | None:
    """Return a change's key."""
    return items.key(row.item)


def version(row: Row) -> int:
    """Return the version that a change's item has: many rows that come before all changes may share one."""
    return items.version(row.item) if row.op == ops.SNAPSHOT.letter else row.version
