"""Pictures as lines of SVG, made on the server: the shapes alone, for all words and colours are the page's.

pygal draws more, but writes its styles and a script into each picture, which a strict Content-Security-Policy refuses.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

WIDTH = 600
HEIGHT = 160
ALONE = 6
"""How wide the line of a single value is."""
Points = list[tuple[float, float]]
"""Values by time in unix seconds, the earliest first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart: its values, None where there is none; `segments` are the points of its polylines."""

    name: str
    kind: str
    values: list[float | None]
    segments: tuple[str, ...] = ()
    last: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart ready to be shown. `scale` are the words beside it from the top down, `rows` the same as a table."""

    id: str
    title: str
    words: str
    lines: tuple[Line, ...]
    scale: tuple[str, ...]
    times: tuple[dt.datetime, ...]
    rows: tuple[tuple[dt.datetime, tuple[str, ...]], ...]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be shown."""
        return not any(line.segments for line in self.lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """`count` steps of `step` seconds, up to `end`: the times of a picture."""

    end: float
    step: float
    count: int

    @property
    def edges(self) -> list[float]:
        """All times from the first to the last: one more than there are steps."""
        return [self.end - self.step * (self.count - place) for place in range(self.count + 1)]


def span(now: float, *, every: float, step: float, count: int) -> Span:
    """Return the steps up to the last sample's time, of which there is one `every` so often: 17, 10 → 10."""
    return Span(end=math.floor(now / every) * every, step=step, count=count)


def rates(points: Points, over: Span) -> list[float | None]:
    """Return how much a number that only grows grew a second within each step; None where that is not known."""
    known = levels(points, over)
    rates_: list[float | None] = []
    for before, after in itertools.pairwise(known):
        # A number that fell was begun anew: nobody knows how much it grew.
        gone = before is None or after is None or after[1] < before[1] or after[0] <= before[0]
        rates_.append(None if gone else (after[1] - before[1]) / (after[0] - before[0]))  # type: ignore[index]
    return rates_


def levels(points: Points, over: Span) -> list[tuple[float, float] | None]:
    """Return at each edge the last point that is no older than a step, with its own time; None where there is none."""
    times = [at for at, _ in points]
    spans: list[tuple[float, float] | None] = []
    for edge in over.edges:
        place = bisect.bisect_right(times, edge) - 1
        spans.append(points[place] if place >= 0 and edge - points[place][0] < over.step else None)
    return spans


def chart(
    id_: str,
    title: str,
    *,
    over: Span,
    lines: Iterable[Line],
    text: Callable[[float], str],
    moment: Callable[[float], dt.datetime],
    rows: int = 12,
) -> Chart:
    """Draw lines with a value for the end of each step of the span; `text` formats a value, `moment` a time."""
    drawn = list(lines)
    top = ceiling(max((v for line in drawn for v in line.values if v is not None), default=0.0))
    made = tuple(
        dataclasses.replace(line, segments=_segments(line.values, top), last=_text(_last(line.values), text))
        for line in drawn
    )
    ends = over.edges[-len(drawn[0].values) :]
    every = max(len(ends) // rows, 1)
    shown = [
        (moment(ends[place]), tuple(_text(line.values[place], text) for line in made))
        for place in range(len(ends) - 1, -1, -every)
    ]
    summary = "; ".join(f"{line.name} {line.last} last, {_text(_most(line.values), text)} at most" for line in made)
    return Chart(
        id=id_,
        title=title,
        words=summary,
        lines=made,
        scale=(text(top), text(top / 2), text(0)),
        times=tuple(moment(at) for at in (ends[0], ends[len(ends) // 2], ends[-1])),
        rows=tuple(shown),
    )


def ceiling(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20 … that is not below: 0 → 1, 3 → 5, 5 → 5, 0.03 → 0.05."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(part * power for part in (1, 2, 5, 10) if part * power >= value * (1 - 1e-9))


def _segments(values: Sequence[float | None], top: float) -> tuple[str, ...]:
    """Return a polyline's points for each run of values that are known."""
    across = WIDTH / max(len(values) - 1, 1)
    segments = []
    for known, run in itertools.groupby(enumerate(values), key=lambda pair: pair[1] is not None):
        if known:
            points = [f"{place * across:.1f},{HEIGHT * (1 - (value or 0) / top):.1f}" for place, value in run]
            # A single value would be a point without an extent, which is not drawn.
            segments.append(" ".join(points if len(points) > 1 else [_left_of(points[0]), *points]))
    return tuple(segments)


def _left_of(point: str) -> str:
    """Return the point a few pixels to the left: "600.0,80.0" → "594.0,80.0"."""
    across, down = point.split(",")
    return f"{float(across) - ALONE:.1f},{down}"


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _text(value: float | None, text: Callable[[float], str]) -> str:
    return "—" if value is None else text(value)


def count(value: float) -> str:
    """Write a rate or a count: 0 → "0", 0.25 → "0.25", 12.3 → "12", 4711 → "4,711"."""
    if value == 0 or value >= 10:
        return f"{value:,.0f}"
    return f"{value:.2g}"


def size(value: float) -> str:
    """Write a number of bytes: 0 → "0 B", 1500 → "1.5 kB", 20000000 → "20 MB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def duration(seconds: float) -> str:
    """Write a time: 0.25 → "0.2 s", 90 → "2 min", 7200 → "2.0 h", 200000 → "2.3 d"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"
