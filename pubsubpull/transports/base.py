"""The seam to receivers: a message goes in, an outcome comes out.

The delivery engine knows receivers only through this seam.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pubsubpull.conf import Settings
    from pubsubpull.log.cursor import Cursor

ANSWER_KEPT = 1000
"""The most bytes kept of an answer."""
HOLD_LIMIT = 86_400.0
"""The longest pause that a receiver may ask for, in seconds."""


def takes_single(address: str) -> bool:
    """True if an address has variables, so that each change is a message of its own."""
    return "{" in address or "}" in address


def beginning(answer: bytes) -> str:
    """Return the beginning of an answer as text that PostgreSQL can store."""
    # Cut before it is decoded: the answer comes from outside. A character that is cut in two is replaced.
    return answer[:ANSWER_KEPT].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """A decrypted secret or private key."""

    text: str = dataclasses.field(repr=False)
    """The key itself, which `repr` leaves out, so that no log holds it."""
    until: float | None = None
    """When the key ends, in unix seconds; None for no end."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """The receiver of a subscription's messages."""

    address: str
    """The subscription's callback, in the form of the transport that its scheme names."""
    keys: tuple[Key, ...] = dataclasses.field(default=(), repr=False)
    """The keys that sign the messages, the newest first; none if the stored keys cannot be read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeRef:
    """The change of a single message: the values for an address's variables."""

    model: str
    """The model's label."""
    key: str | None
    """The row's key; None for a change of all rows."""
    version: int
    """The change's version."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Message:
    """A message to a receiver."""

    id: str
    """The idempotency key: the same for the same changes, however often they are sent."""
    body: bytes
    """The encoded changes."""
    content_type: str
    """The media type of the body."""
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Facts beside the body: a trace, and for CloudEvents the cursors. Names are in lower case."""
    change: ChangeRef | None = None
    """The change of a single message; None for a page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ready:
    """The receiver may be sent messages."""

    rate: int | None = None
    """The most messages a minute that the receiver allows; None for any number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delivered:
    """The receiver has taken the message."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rewind:
    """The receiver names another cursor, from which delivery continues."""

    cursor: Cursor
    """The receiver's cursor."""
    error: str = "The receiver named another cursor."
    """The error for a message that moves no cursor."""
    code: int | None = None
    """The receiver's own code, as in `Retry`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gone:
    """The receiver unsubscribes."""

    error: str = "The receiver wants no more."
    """The reason, as a sentence."""
    code: int | None = None
    """The receiver's own code, as in `Retry`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retry:
    """The message was not taken, and is sent again later."""

    error: str
    """The reason for the consumer: a sentence, without addresses of the inner network and without secrets."""
    after: float = 0.0
    """The pause that the receiver asks for, in seconds, at most `HOLD_LIMIT`."""
    away: bool = False
    """True if the endpoint gave no answer. Its failure is then no fault of the message."""
    refused: bool = False
    """True if the receiver refuses this very message. Only then may a change be set aside."""
    unsent: bool = False
    """True if nothing was sent. The failure then is no fault of the endpoint."""
    code: int | None = None
    """The receiver's own code for its reason, such as an HTTP status or an AMQP reply code."""
    answer: str = ""
    """The beginning of the receiver's answer, as `beginning` returns it."""


Outcome = Delivered | Rewind | Gone | Retry


class Transport(Protocol):
    """The protocol of a transport. A subclass must define `schemes`, `endpoint` and `send`.

    `check` and `endpoint` are called in any process, from any thread. The other methods are called in a worker's loop,
    for many targets at a time.
    """

    schemes: frozenset[str]
    """The schemes of the transport's addresses: the part before the first colon, in lower case."""

    @classmethod
    def of(cls, settings: Settings) -> Self:  # noqa: ARG003  subclasses may need the settings
        """Return a transport for the settings. It opens its first connection for its first message."""
        return cls()

    @property
    def connections(self) -> int | None:
        """The most connections that the transport may have at a time; None for no limit."""
        return None

    def check(self, address: str) -> None:
        """Raise `SubscriptionError` for the field `callback` if the address must not be sent to."""

    def endpoint(self, address: str) -> str:
        """Return the name of the server at an address, without credentials. It names the breaker of the address."""
        raise NotImplementedError

    async def prepare(self, target: Target) -> Ready | Retry:  # noqa: ARG002  subclasses may need the target
        """Check before the first message if the target takes messages. Called for subscriptions with `verify`."""
        return Ready()

    async def send(self, target: Target, message: Message) -> Outcome:
        """Send a message and return its outcome. A failing receiver is a `Retry`, never an exception."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close all connections."""
