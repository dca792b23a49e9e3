"""The leases of a worker, and the sends still under way for leases that it lost."""

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
        """New leases that ask for consent or send a backfill before they read the log."""
        self._leaving: dict[uuid.UUID, asyncio.Task[None]] = {}
        """The tasks of lost leases that still send, by subscription."""

    def add(self, lease: Lease) -> None:
        """Add a lease that was just claimed. An earlier lease of the same subscription is dropped."""
        id_ = lease.terms.id
        if earlier := self.held.get(id_):
            self.drop(earlier)
        # The earlier lease may still be sending: the receiver must not get two notifications at a time.
        lease.before = self._leaving.pop(id_, None)
        self.held[id_] = lease
        if lease.checkpoint.unverified or lease.checkpoint.backfill:
            # It reads the log afterwards: no change may precede the consent, or overtake the backfill.
            self.groups.pause(lease, lease.checkpoint.cursor)
            self.beginning.append(lease)
            self.groups.wake.set()
        else:
            self.groups.join(lease, lease.checkpoint.cursor)

    def drop(self, lease: Lease) -> None:
        """Forget a lost lease, except for a send that is under way."""
        id_ = lease.terms.id
        # First, so that nothing is recorded under the lost lease while it is taken apart.
        lease.drop()
        self.groups.forget(lease)
        if lease.task:
            self._leaving[id_] = lease.task
            lease.task.add_done_callback(lambda task: self._left(id_, task))
        # A newer lease of the same subscription stays.
        if self.held.get(id_) is lease:
            del self.held[id_]

    def under_way(self) -> list[asyncio.Task[None]]:
        """Return the tasks of all sends under way."""
        return [lease.task for lease in self.held.values() if lease.task] + list(self._leaving.values())

    def _left(self, id_: uuid.UUID, task: asyncio.Task[None]) -> None:
        if self._leaving.get(id_) is task:
            del self._leaving[id_]
