"""The transport for tests: it sends nothing, records each message, and answers as configured."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.transports import keys
from pubsubpull.transports.base import Delivered, Outcome, Ready, Retry, Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pubsubpull.transports.base import Message, Target

    Answer = Outcome | Callable[["Sent"], Outcome | Awaitable[Outcome]]

TAKEN = Delivered()
READY = Ready()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that a `RecordingTransport` has recorded."""

    target: Target
    """The receiver."""
    message: Message
    """The message."""
    signature: Mapping[str, str]
    """The three attributes that a receiver verifies."""


class RecordingTransport(Transport):
    """Records each message in `sent`, and each prepared target in `prepared`.

    Pass it to a worker instead of the transports of the settings:
    `Worker(settings=…, transport=RecordingTransport())`.
    """

    schemes = frozenset({"recording"})

    def __init__(self, answer: Answer = TAKEN, *, readiness: Ready | Retry = READY) -> None:
        self.answer = answer
        """The outcome of `send`, or a function from a `Sent` to its outcome. The function may be async, or raise."""
        self.readiness = readiness
        """The result of `prepare`."""
        self.sent: list[Sent] = []
        self.prepared: list[Target] = []
        self.closed = False
        self._arrived = asyncio.Event()

    def check(self, address: str) -> None:
        """Raise `SubscriptionError` for an address without a scheme."""
        scheme, _, rest = address.partition(":")
        if not scheme or not rest:
            raise exceptions.SubscriptionError("callback", "must have a scheme, a colon, and something after it.")

    def endpoint(self, address: str) -> str:
        """Return the address up to its path, without a user's name and password."""
        scheme, _, rest = address.partition(":")
        return f"{scheme}:{rest.removeprefix('//').partition('/')[0].rpartition('@')[2]}"

    async def prepare(self, target: Target) -> Ready | Retry:
        """Record the target and return `readiness`."""
        self.prepared.append(target)
        return self.readiness

    async def send(self, target: Target, message: Message) -> Outcome:
        """Sign the message as every transport does, record it, and return `answer`."""
        try:
            signature = keys.signed(target, message)
        except exceptions.SecretError as error:
            return Retry(error=str(error), unsent=True)
        sent = Sent(target=target, message=message, signature=signature)
        # Before the answer, which may raise or wait: the message has been sent by then.
        self.sent.append(sent)
        self._arrived.set()
        if not callable(self.answer):
            return self.answer
        answer = self.answer(sent)
        return await answer if inspect.isawaitable(answer) else answer

    async def arrived(self, count: int, *, limit: float = 10.0) -> list[Sent]:
        """Wait until `count` messages are recorded and return them; raise `TimeoutError` after `limit` seconds."""
        async with asyncio.timeout(limit):
            while len(self.sent) < count:
                # Without an await between the count and the wait: no arrival can be missed.
                self._arrived.clear()
                await self._arrived.wait()
        return self.sent

    async def close(self) -> None:
        """Set `closed`."""
        self.closed = True
