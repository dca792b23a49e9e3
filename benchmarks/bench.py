"""The arguments of a benchmark."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """`url` is the database made for it; `quick` asks for a short run that only shows that it works.

    `count` is how many rows there are to be, for a benchmark that takes any number.
    """

    url: str
    quick: bool
    count: int | None = None

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"    {text}", flush=True)
