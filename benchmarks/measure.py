"""Rounds, medians and results: the measured value, its comparison, and whether the target is met."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Figures = dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison. `ours` and `theirs` are texts with their units; the target bounds `value`."""

    what: str
    ours: str
    theirs: str
    value: float
    bound: Literal["at most", "at least"]
    target: float
    unit: str = "×"

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as a row of a table."""
        asked = f"{self.bound} {self.target:g}{self.unit}"
        return (
            self.what,
            self.ours,
            self.theirs,
            f"{self.value:.2f}{self.unit}",
            asked,
            "met" if self.met else "**missed**",
        )


HEAD = ("what", "pubsubpull", "against", "ratio", "target", "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a benchmark: its lines, its omissions and its remarks."""

    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()


def interleaved(
    variants: Mapping[str, Callable[[], Figures]], *, rounds: int, say: Callable[[str], None]
) -> dict[str, dict[str, list[float]]]:
    """Run every variant once a round, in an order that turns; return each one's figures, a list a name.

    A first round warms up and is not counted.
    """
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in variants}
    names = list(variants)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            for figure, value in variants[name]().items():
                if number:
                    found[name][figure].append(value)
        say(f"round {number} of {rounds}" if number else "warmed up")
    return found


def medians(found: Mapping[str, Mapping[str, list[float]]]) -> dict[str, Figures]:
    """Return each variant's median of each figure."""
    return {
        name: {figure: statistics.median(values) for figure, values in figures.items()}
        for name, figures in found.items()
    }


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of all are at or below: of 1..100 the share 0.99 → 99."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(lines: tuple[Line, ...]) -> str:
    """Return the lines as a Markdown table."""
    rows = [HEAD, *(line.cells for line in lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)
