"""The charts of the operators' page, drawn from samples."""

from __future__ import annotations

import datetime as dt

from pubsubpull.base import times
from pubsubpull.operate import samples
from pubsubpull.pages import charts
from pubsubpull.subscriptions.models import Sample


def draw(now: dt.datetime, using: str) -> list[charts.Chart]:
    """Return the charts of captured and delivered changes, and of the log's size, over the last hour and day."""
    after = now - dt.timedelta(seconds=samples.KEPT_COARSE)
    columns = ("at", "captured", "delivered", "bytes")
    taken = list(Sample.objects.using(using).filter(at__gt=after).order_by("at").values_list(*columns))
    stamps = [at.timestamp() for at, *_ in taken]
    captured, delivered, sizes = (
        [(at, float(row[column])) for at, row in zip(stamps, taken, strict=True)] for column in (1, 2, 3)
    )
    hour = charts.span(now.timestamp(), every=samples.SAMPLE_INTERVAL, step=60, count=60)
    day = charts.span(now.timestamp(), every=samples.SAMPLE_INTERVAL, step=900, count=96)
    drawn = [
        charts.chart(
            f"psp-{name}",
            f"Changes a second, the last {name}",
            over=over,
            lines=[
                charts.Line(name="captured", kind="a", values=charts.rates(captured, over)),
                charts.Line(name="delivered", kind="b", values=charts.rates(delivered, over)),
            ],
            text=charts.count,
            moment=times.moment,
        )
        for name, over in (("hour", hour), ("day", day))
    ]
    grown = [known and known[1] for known in charts.levels(sizes, day)]
    line = charts.Line(name="size", kind="a", values=grown)
    size = "Size of the log, the last day"
    return [*drawn, charts.chart("psp-size", size, over=day, lines=[line], text=charts.size, moment=times.moment)]
