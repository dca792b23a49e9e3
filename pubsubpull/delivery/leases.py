"""The leases that a worker has, and the deliveries that are still on their way for leases that it lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    import uuid

    from pubsubpull.delivery.groups import Groups
    from pubsubpull.delivery.lease import Lease


class Leases:
    """A worker's leases, by the ids of their subscriptions."""

    def __init__(self, *, groups: Groups) -> None:
        self.groups = groups
        self.held: dict[uuid.UUID, Lease] = {}
        """The leases that the worker has now."""
        self.beginning: list[Lease] = []
        """New leases whose receivers are to be asked for their consent, or sent rows, before they read the log."""
        self._leaving: dict[uuid.UUID, asyncio.Task[None]] = {}

    def add(self, lease: Lease) -> None:
        """Begin with a lease that was just taken; an earlier one of the same subscription is lost."""
        id_ = lease.terms.id
        if earlier := self.held.get(id_):
            self.drop(earlier)
        # What the earlier lease still has on its way must be over first, or its receiver would get two at a time.
        lease.before = self._leaving.pop(id_, None)
        self.held[id_] = lease
        if lease.checkpoint.unverified or lease.checkpoint.initial:
            self.groups.pause(lease, lease.checkpoint.cursor)
            self.beginning.append(lease)
            self.groups.wake.set()
        else:
            self.groups.join(lease, lease.checkpoint.cursor)

    def drop(self, lease: Lease) -> None:
        """Forget a lease that is lost, but for what it has on its way."""
        id_ = lease.terms.id
        lease.drop()
        self.groups.forget(lease)
        if lease.task:
            self._leaving[id_] = lease.task
            lease.task.add_done_callback(lambda task: self._left(id_, task))
        if self.held.get(id_) is lease:
            del self.held[id_]

    def under_way(self) -> list[asyncio.Task[None]]:
        """Return the deliveries that are not over."""
        return [lease.task for lease in self.held.values() if lease.task] + list(self._leaving.values())

    def _left(self, id_: uuid.UUID, task: asyncio.Task[None]) -> None:
        if self._leaving.get(id_) is task:
            del self._leaving[id_]
