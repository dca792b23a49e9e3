"""Charts as lines of SVG, made on the server: only the shapes. The words and colours are those of the page.

pygal draws more, but writes its styles and a script into each chart, which a strict Content-Security-Policy refuses.
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
"""The length of the line that shows a single value."""
Points = list[tuple[float, float]]
"""Values by time in unix seconds, the earliest first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a chart."""

    name: str
    kind: str
    """The name of its style."""
    values: list[float | None]
    """A value for each step; None if it is not known."""
    segments: tuple[str, ...] = ()
    """The points of its polylines."""
    last: str = ""
    """The last known value, as text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart that is ready to be shown."""

    id: str
    title: str
    words: str
    """A summary for readers who do not see the picture."""
    lines: tuple[Line, ...]
    scale: tuple[str, ...]
    """The words beside it, from the top down."""
    times: tuple[dt.datetime, ...]
    """The times below it, from left to right."""
    rows: tuple[tuple[dt.datetime, tuple[str, ...]], ...]
    """The values as a table."""
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def empty(self) -> bool:
        """True if there is no value to show."""
        return not any(line.segments for line in self.lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Span:
    """The times of a chart: `count` steps of `step` seconds, up to `end`."""

    end: float
    step: float
    count: int

    @property
    def edges(self) -> list[float]:
        """All times from the first to the last: one more than there are steps."""
        return [self.end - self.step * (self.count - n) for n in range(self.count + 1)]


def span(now: float, *, every: float, step: float, count: int) -> Span:
    """Return the steps up to the time of the last sample. Samples are `every` so many seconds: 17, 10 → 10."""
    # Not up to now: the last step would have no sample, and the line would end before the chart's edge.
    return Span(end=math.floor(now / every) * every, step=step, count=count)


def rates(points: Points, over: Span) -> list[float | None]:
    """Return the growth of a counter a second, within each step; None if it is not known."""
    known = levels(points, over)
    rates_: list[float | None] = []
    for before, after in itertools.pairwise(known):
        # A counter that fell was reset: nobody knows how much it grew.
        gone = before is None or after is None or after[1] < before[1] or after[0] <= before[0]
        rates_.append(None if gone else (after[1] - before[1]) / (after[0] - before[0]))  # type: ignore[index]
    return rates_


def levels(points: Points, over: Span) -> list[tuple[float, float] | None]:
    """Return the last point at each edge, with its own time; None if it would be older than a step."""
    times = [at for at, _ in points]
    levels_: list[tuple[float, float] | None] = []
    for edge in over.edges:
        index = bisect.bisect_right(times, edge) - 1
        levels_.append(points[index] if index >= 0 and edge - points[index][0] < over.step else None)
    return levels_


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
    """Return a chart of lines. Each has a value for the end of each step; `text` formats a value, `moment` a time."""
    drawn = list(lines)
    top = ceiling(max((v for line in drawn for v in line.values if v is not None), default=0.0))
    finished = tuple(
        dataclasses.replace(line, segments=_segments(line.values, top), last=_text(_last(line.values), text))
        for line in drawn
    )
    ends = over.edges[-len(drawn[0].values) :]
    every = max(len(ends) // rows, 1)
    shown = [
        (moment(ends[n]), tuple(_text(line.values[n], text) for line in finished))
        for n in range(len(ends) - 1, -1, -every)
    ]
    summary = "; ".join(f"{line.name} {line.last} last, {_text(_most(line.values), text)} at most" for line in finished)
    return Chart(
        id=id_,
        title=title,
        words=summary,
        lines=finished,
        scale=(text(top), text(top / 2), text(0)),
        times=tuple(moment(at) for at in (ends[0], ends[len(ends) // 2], ends[-1])),
        rows=tuple(shown),
    )


def ceiling(value: float) -> float:
    """Return the lowest of 1, 2, 5, 10, 20 … that is not below a value: 0 → 1, 3 → 5, 5 → 5, 0.03 → 0.05."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    # With a little tolerance: powers of ten are not exact, and 0.2 must not become 0.5.
    return next(part * power for part in (1, 2, 5, 10) if part * power >= value * (1 - 1e-9))


def _segments(values: Sequence[float | None], top: float) -> tuple[str, ...]:
    """Return the points of a polyline for each run of known values."""
    across = WIDTH / max(len(values) - 1, 1)
    segments = []
    for known, run in itertools.groupby(enumerate(values), key=lambda pair: pair[1] is not None):
        if known:
            points = [f"{n * across:.1f},{HEIGHT * (1 - (value or 0) / top):.1f}" for n, value in run]
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
    """Return a rate or a count as text: 0 → "0", 0.25 → "0.25", 12.3 → "12", 4711 → "4,711"."""
    if value == 0 or value >= 10:
        return f"{value:,.0f}"
    return f"{value:.2g}"


def size(value: float) -> str:
    """Return a number of bytes as text: 0 → "0 B", 1500 → "1.5 kB", 20000000 → "20 MB"."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def duration(seconds: float) -> str:
    """Return a duration as text: 0.25 → "0.2 s", 90 → "2 min", 7200 → "2.0 h", 200000 → "2.3 d"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"
