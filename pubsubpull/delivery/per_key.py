"""Sends the changes of a page one by one: in order for each key, and several keys at the same time."""

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
class PerKey:
    """The sending of one page, change by change."""

    send: Callable[[Row], Awaitable[Outcome]]
    """Sends one change."""
    width: int
    """How many changes may be under way at the same time."""
    over: Callable[[], bool]
    """True once no further change may be sent."""
    done: set[int]
    """The versions that the receiver has taken. It grows, and a second attempt leaves them out."""
    alone: Collection[int] = ()
    """The versions that are sent by themselves: after all before them, and before all behind them."""

    async def run(self, rows: Sequence[Row]) -> Outcome | None:
        """Send the changes not yet taken; return `Delivered`, the outcome that decides, or None if broken off."""
        for segment in segments((row for row in rows if row.version not in self.done), self.alone):
            results = await self._segment(segment)
            if results:
                return worst(results)
        return Delivered() if self.done.issuperset([row.version for row in rows]) else None

    async def _segment(self, queues: list[list[Row]]) -> list[Outcome]:
        results: list[Outcome] = []
        # One iterator for all tasks: each key goes to exactly one of them, which keeps its order.
        waiting = iter(queues)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self.width, len(queues))):
                tasks.create_task(self._work(waiting, results))
        return results

    async def _work(self, waiting: Iterator[list[Row]], results: list[Outcome]) -> None:
        """Send the changes of one key after another. A refused change stops its key; other keys go on."""
        for queue in waiting:
            for row in queue:
                # Asked before each send, not once a key: the lease may have ended, or another key met the end.
                if self.over() or any(ends(result) for result in results):
                    return
                result = await self.send(row)
                if not isinstance(result, Delivered):
                    results.append(result)
                    break
                self.done.add(row.version)


def ends(result: Outcome) -> bool:
    """Return True if no other change may follow such an outcome: it concerns the receiver, not the one change."""
    return not isinstance(result, Retry) or result.away or bool(result.after)


def worst(results: Sequence[Outcome]) -> Outcome | None:
    """Return the outcome that decides how delivery goes on; None without any."""
    kinds = (Gone, Rewind)
    for kind in kinds:
        for result in results:
            if isinstance(result, kind):
                return result
    retries = [result for result in results if isinstance(result, Retry)]
    # An outcome that is no refusal comes first: while a receiver is away, no change may be set aside.
    return min(retries, key=lambda retry: retry.refused) if retries else None


def segments(rows: Iterable[Row], alone: Collection[int] = ()) -> Iterator[list[list[Row]]]:
    """Split changes into segments that are sent one after the other; each is a list of queues, one for each key.

    A change of a whole model is a segment by itself, and so is each version in `alone`.
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
    """Return the version in a change's item, which many rows of a backfill may share."""
    return items.version(row.item) if row.op == ops.SNAPSHOT.letter else row.version
