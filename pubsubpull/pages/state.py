"""The data of the operators' page: a fixed number of queries, none of which counts over the log."""

from __future__ import annotations

import collections
import dataclasses
import operator
from typing import TYPE_CHECKING

from django.db.models import Count

from pubsubpull.log import feed
from pubsubpull.operate import actions as operate_actions
from pubsubpull.pages import charts, sparklines, tables
from pubsubpull.subscriptions import lag
from pubsubpull.subscriptions.models import SERVED, Host, Subscription, Worker
from pubsubpull.transports import registry

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterable

    from pubsubpull.conf import Settings
    from pubsubpull.log.present import Present

SHOWN_A_PAGE = 50
"""Subscriptions on a page."""
BARS = 12
"""The most bars in the picture of the subscriptions furthest behind."""
HOSTS = 50
"""The most hosts on the page."""
WORST = ("lapsed", "disabled", "failing", "unverified", "active", "paused", "unsubscribed")
"""The states, the most urgent first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """The filter of the subscriptions, and the number of the page."""

    state: str = ""
    """The state; empty for all."""
    text: str = ""
    """A part of the name, in any case."""
    page: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """The facts of a subscription by which the list is filtered and sorted."""

    id: uuid.UUID
    name: str
    """The consumer's name and the subscription's own."""
    state: str
    seen: int
    """The id that it has reached in the log."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A subscription as the page shows it."""

    subscription: Subscription
    name: str
    host: str
    changes: int
    """The most changes that it is behind."""
    lag: str
    """The time that it is behind."""
    rate: str
    """Changes a second."""
    aside: int
    """The number of its dead letters."""
    held: bool
    """True if its consumer is inactive or may not subscribe."""
    actions: tuple[str, ...]
    """The names of its buttons."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One subscription in the picture of the lag."""

    name: str
    state: str
    lag: str
    width: str
    """The length of the bar, in percent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """The data of the whole page."""

    now: dt.datetime
    counts: list[tuple[str, int]]
    total: int
    pages: int
    asked: Asked
    rows: list[Row]
    bars: list[Bar]
    tables: list[tables.Table]
    workers: list[Worker]
    hosts: list[Host]
    charts: list[charts.Chart]


def read(settings: Settings, asked: Asked, *, now: dt.datetime) -> State:
    """Return the data of the page at the time `now`."""
    using = settings.DATABASE
    # Read once: all lags of the page are of one moment.
    present = feed.present(using)
    # Few columns of all subscriptions, since the order depends on cursors, which SQL cannot read; the rest by page.
    every = _summaries(present, using)
    fitting = sorted(filter(lambda summary: _fits(summary, asked), every), key=_worst)
    pages = max(-(-len(fitting) // SHOWN_A_PAGE), 1)
    asked = dataclasses.replace(asked, page=min(asked.page, pages))
    page = fitting[(asked.page - 1) * SHOWN_A_PAGE : asked.page * SHOWN_A_PAGE]
    alive = [summary for summary in every if summary.state != Subscription.State.UNSUBSCRIBED]
    late = sorted(alive, key=operator.attrgetter("seen"))
    waited = lag.waits([summary.seen for summary in [*page, *late[:BARS]]], present, using)
    since = tables.since(now, using)
    return State(
        now=now,
        counts=_counts(every),
        total=len(fitting),
        pages=pages,
        asked=asked,
        rows=_rows(page, waited, present, since, settings),
        bars=_bars(late[:BARS], waited),
        tables=tables.read(since, using),
        workers=list(Worker.objects.using(using).filter(expires__gt=now).order_by("name")),
        hosts=_hosts(settings),
        charts=sparklines.draw(now, using),
    )


def actions(state: str) -> tuple[str, ...]:
    """Return the actions for a subscription in a state, except `rewind`, which every state allows."""
    allowed = []
    if state in {Subscription.State.FAILING, Subscription.State.UNVERIFIED}:
        allowed.append("retry")
    if state in SERVED:
        allowed.append("pause")
    if state == Subscription.State.PAUSED:
        allowed.append("resume")
    if state in operate_actions.ENDED:
        allowed.append("enable")
    return tuple(allowed)


def _summaries(present: Present, using: str) -> list[Summary]:
    stored = Subscription.objects.using(using).order_by()
    columns = ("pk", "consumer__name", "name", "state", "cursor")
    return [
        Summary(id=id_, name=f"{consumer}/{name}", state=state, seen=lag.reached_by(cursor, present))
        for id_, consumer, name, state, cursor in stored.values_list(*columns)
    ]


def _fits(summary: Summary, asked: Asked) -> bool:
    return asked.state in {"", summary.state} and asked.text.lower() in summary.name.lower()


def _worst(summary: Summary) -> tuple[int, int, str]:
    # The name last, so that two pages never show one subscription twice.
    return WORST.index(summary.state), summary.seen, summary.name


def _counts(every: Iterable[Summary]) -> list[tuple[str, int]]:
    counts = collections.Counter(summary.state for summary in every)
    return [(state, counts[state]) for state in WORST if counts[state]]


def _rows(
    page: list[Summary], waited: dict[int, float], present: Present, since: tables.Since, settings: Settings
) -> list[Row]:
    """Return the rows of the subscriptions of one page."""
    query = Subscription.objects.using(settings.DATABASE).select_related("consumer").annotate(aside=Count("failures"))
    subscriptions = query.in_bulk([summary.id for summary in page])
    transports = registry.of(settings)
    return [
        Row(
            subscription=subscription,
            name=summary.name,
            host=transports.endpoint(subscription.callback),
            changes=max(present.seq - summary.seen, 0),
            lag=charts.duration(waited.get(summary.seen, 0.0)),
            rate=since.rate("subscriptions", str(subscription.pk), subscription.delivered),
            aside=getattr(subscription, "aside", 0),
            held=not (subscription.consumer.active and subscription.consumer.may_subscribe),
            actions=actions(subscription.state),
        )
        for summary in page
        # A subscription may have been deleted since the first query.
        if (subscription := subscriptions.get(summary.id)) is not None
    ]


def _bars(late: list[Summary], waited: dict[int, float]) -> list[Bar]:
    """Return a bar for each subscription that is behind. The longest bar is that of the largest lag."""
    behind = sorted(((waited.get(summary.seen, 0.0), summary) for summary in late), key=lambda pair: -pair[0])
    most = behind[0][0] if behind else 0.0
    return [
        # At least half a percent: a bar of no width would not be seen.
        Bar(name=each.name, state=each.state, lag=charts.duration(lag), width=f"{max(100 * lag / most, 0.5):.1f}")
        for lag, each in behind
        if lag > 0
    ]


def _hosts(settings: Settings) -> list[Host]:
    """Return the hosts whose breaker is open, those with the most failures first."""
    open_ = Host.objects.using(settings.DATABASE).filter(failures__gte=settings.BREAKER_FAILURES)
    return list(open_.order_by("-failures", "host")[:HOSTS])
