"""What a benchmark is given."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """`url` is the database made for it; `quick` asks for a short run that only shows that it works."""

    url: str
    quick: bool

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"    {text}", flush=True)
