"""The position in a backfill: the rows that a subscription is sent before its first change."""

from __future__ import annotations

import dataclasses
import json
import secrets

TIME_DIGITS = 12
"""How many hexadecimal digits of a run's id hold its start, in milliseconds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackfillPosition:
    """A position in one run through the rows of a subscription's models."""

    models: tuple[str, ...]
    """The models still to be sent; of the first, only the rows after `after`."""
    run: str
    """The id of the run, which begins with the time of its start."""
    after: str | None = None
    """The key of the first model's last row that was read; None before its first row."""
    begun: bool = False
    """True if the receiver has taken some of the first model's rows."""

    def encode(self) -> str:
        """Return the position as it is stored."""
        return json.dumps([self.run, self.begun, self.after, *self.models])

    def past(self, key: str, *, taken: bool) -> BackfillPosition:
        """Return the position after a row of the first model; `taken` is False if the row was set aside."""
        return dataclasses.replace(self, after=key, begun=self.begun or taken)

    def rest(self) -> BackfillPosition | None:
        """Return the position at which the next model begins; None if this model is the last one."""
        return BackfillPosition(models=self.models[1:], run=self.run) if len(self.models) > 1 else None

    @property
    def at(self) -> float:
        """The time at which the run began, in unix seconds."""
        return int(self.run[:TIME_DIGITS], 16) / 1000


def new_run(now: float) -> str:
    """Return the id of a run that begins now. The ids of later runs sort last."""
    # Random digits at the end: two runs may begin in the same millisecond.
    return f"{int(now * 1000):0{TIME_DIGITS}x}{secrets.token_hex(4)}"


def decode(text: str) -> BackfillPosition | None:
    """Return the position from the text of `encode`; None for an empty text, which stands for no rows left."""
    if not text:
        return None
    run, begun, after, *models = json.loads(text)
    return BackfillPosition(models=tuple(models), run=run, after=after, begun=begun)
