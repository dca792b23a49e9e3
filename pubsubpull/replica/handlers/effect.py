"""The effect of handlers: they are called for each change in the page's transaction, or enqueued there as a task."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from pubsubpull import exceptions
from pubsubpull.base.database_errors import is_away
from pubsubpull.base.threads import first_line
from pubsubpull.pull.client import Change
from pubsubpull.replica import tasks
from pubsubpull.replica.handlers import declare, event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.replica.declaration import OnFailure
    from pubsubpull.replica.effects import Effect, Staged
    from pubsubpull.replica.handlers.declare import Handler


@dataclasses.dataclass(frozen=True, kw_only=True)
class Handlers:
    """An effect: calls the handlers of a source for its changes."""

    source: str
    """The model or event that the handlers follow."""
    service: str
    """The service of the source; LOCAL for this one."""
    handlers: tuple[Handler, ...]
    """The handlers, in the order in which they were declared."""
    replica: str = ""
    """The replica that shares its position with the handlers; empty for one handler with its own position."""
    on_failure: OnFailure = "wait"
    """The reaction to a change on which a handler fails."""
    shape: str = "none"
    """A constant, since handlers have no copied rows that a changed declaration could make stale."""
    table: None = None
    """Handlers fill no table of a declaration."""

    @property
    def name(self) -> str:
        """Return the name of the handlers' position."""
        return self.replica or self.handlers[0].name

    @property
    def from_start(self) -> bool:
        """Return True if they have a position of their own, which begins with the log."""
        return not self.replica and self.handlers[0].start == "start"

    def reads(self) -> frozenset[str]:
        """Return no column: handlers take the changes unread."""
        return frozenset()

    def plain(self) -> bool:
        """Return False: a Python function looks at each change."""
        return False

    def copies(self) -> bool:
        """Return False: a handler may write anything."""
        return False

    def apply(self, staged: Staged, *, using: str) -> None:  # noqa: ARG002  handlers know their database
        """Call the handlers page by page: those for single changes first, those with `together` after them."""
        for items in staged.changes.of(self.source):
            for item in items:
                for handler in self.handlers:
                    if not handler.together and item["op"] in handler.ops:
                        self._call(handler, [item])
            for handler in self.handlers:
                if handler.together and (wanted := [item for item in items if item["op"] in handler.ops]):
                    self._call(handler, wanted)

    def _call(self, handler: Handler, items: Sequence[dict[str, Any]]) -> None:
        try:
            _call(handler, items)
        except Exception as error:
            if is_away(error):
                raise  # no failure of a handler: the database has gone, and the page is tried again
            versions = f"version {items[0]['version']}" + (f" to {items[-1]['version']}" if items[1:] else "")
            reason = f"{handler.name} failed on {versions}: {type(error).__name__}: {first_line(error)}"
            raise exceptions.ReplicaFailed(self.name, reason, version=items[0]["version"]) from error


def _call(handler: Handler, items: Sequence[dict[str, Any]]) -> None:
    if not handler.task:
        values = [_value(handler, item) for item in items]
        handler.call(values if handler.together else values[0])
        return
    arguments = [_argument(handler, item) for item in items]
    word = "event" if handler.takes_events else "change"
    argument = {f"{word}s": arguments} if handler.together else {word: arguments[0]}
    # In the transaction that moves the position: with tasks in this database, each is enqueued once.
    tasks.prioritized(handler.call, handler.job_priority).enqueue(**argument, **handler.callback_kwargs)


def _value(handler: Handler, item: dict[str, Any]) -> Any:
    return event.read(item, handler.kind) if handler.takes_events else Change(**item)


def _argument(handler: Handler, item: dict[str, Any]) -> Any:
    return event.as_argument(item, handler.kind) if handler.takes_events else tasks.argument(item)


def along(effect: Effect) -> Handlers | None:
    """Return the handlers that move with a table: the handlers of its source, if it is the source's first replica."""
    own = tuple(handler for handler in declare.all_handlers() if declare.replica_of(handler) == effect.name)
    if not own:
        return None
    return Handlers(source=effect.source, service=effect.service, handlers=own, replica=effect.name)


def on_their_own(service: str) -> list[Handlers]:
    """Return the handlers of a service whose source has no replica here, by name: each has its own position."""
    effects = [
        Handlers(source=handler.source, service=service, handlers=(handler,), on_failure=handler.on_failure)
        for handler in declare.without_replica(service)
    ]
    return sorted(effects, key=lambda effect: effect.name)
