"""The seam to receivers: a message goes in, an outcome comes out.

The delivery engine knows nothing else of a receiver. Each module or folder beside this one is one way to reach it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pubsubpull.conf import Settings
    from pubsubpull.log.cursor import Cursor

ANSWER_KEPT = 1000
"""How much of an answer is kept, in bytes."""
HOLD_LIMIT = 86_400.0
"""The longest that a receiver may put the next attempt off, in seconds."""


def takes_single(address: str) -> bool:
    """Return True if an address has variables, so that each change is a message of its own."""
    return "{" in address or "}" in address


def beginning(answer: bytes) -> str:
    """Return the beginning of an answer as text that PostgreSQL can keep."""
    return answer[:ANSWER_KEPT].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """A secret or a private key in hand."""

    text: str = dataclasses.field(repr=False)
    """It never reaches a log."""
    until: float | None = None
    """When it ends, in unix seconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """The receiver of a subscription's messages."""

    address: str
    """The subscription's callback, in the words of the transport that its scheme names."""
    keys: tuple[Key, ...] = dataclasses.field(default=(), repr=False)
    """What signs the messages, the newest first. There is none where the stored ones cannot be read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeRef:
    """The change that a message is of, as far as an address may have it among its variables."""

    model: str
    key: str | None
    """None where the change is of all rows."""
    version: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """What a receiver is sent."""

    id: str
    """The same for the same changes, however often they are sent: a receiver's key against repeats."""
    body: bytes
    content_type: str
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """What is said of the body beside it: a trace, and for CloudEvents the cursors. Names are in lower case."""
    change: ChangeRef | None = None
    """The one change of the message, where each is sent by itself; None for a page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """The receiver may be sent messages."""

    rate: int | None = None
    """At most so many messages a minute, where the receiver says so."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivered:
    """The receiver has the message."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rewind:
    """The receiver is elsewhere: delivery goes on from its cursor."""

    cursor: Cursor
    error: str = "The receiver named another cursor."
    """What a consumer is told, where no cursor can be moved."""
    code: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gone:
    """The receiver wants no more."""

    error: str = "The receiver wants no more."
    code: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retry:
    """The message was not taken, and is sent again later."""

    error: str
    """What a consumer is told: a sentence, without addresses of the inner network and without secrets."""
    after: float = 0.0
    """The receiver asks for at least so many seconds; at most `HOLD_LIMIT`."""
    away: bool = False
    """True where the endpoint gave no answer; that says nothing of the message."""
    refused: bool = False
    """True where the receiver does not take this very message; only then may a change be set aside."""
    unsent: bool = False
    """True where nothing was sent; that says nothing of the endpoint."""
    code: int | None = None
    """The receiver's own number for its reason, such as an HTTP status or an AMQP reply code."""
    answer: str = ""
    """What the receiver said, as `beginning` cuts it."""


Outcome = Delivered | Rewind | Gone | Retry


class Transport(Protocol):
    """One way to reach receivers. Inherit from it: only `schemes`, `endpoint` and `send` must be written.

    `check` and `endpoint` are called in any process, from any thread; the others in the one loop of a worker, for
    many targets at a time.
    """

    schemes: frozenset[str]
    """What the addresses of this transport begin with, before the first colon, in lower case."""

    @classmethod
    def of(cls, settings: Settings) -> Self:  # noqa: ARG003  for those that have something to set
        """Return a transport as the settings ask for it. It opens no connection before it has something to send."""
        return cls()

    @property
    def connections(self) -> int | None:
        """How many connections the transport may have at a time; None where they are not limited."""
        return None

    def check(self, address: str) -> None:
        """Raise `SubscriptionError` for the field `callback` if nothing is to be sent to such an address."""

    def endpoint(self, address: str) -> str:
        """Return the name of what answers at an address, without credentials: what fails for one fails for all."""
        raise NotImplementedError

    async def prepare(self, target: Target) -> Ready | Retry:  # noqa: ARG002  for those that have something to prepare
        """Find out if the target may be sent messages: for a subscription to be verified, before its first one."""
        return Ready()

    async def send(self, target: Target, message: Message) -> Outcome:
        """Send a message and return what became of it. No exception is for a receiver that fails: that is `Retry`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of all connections."""
