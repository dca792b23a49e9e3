"""The data of the operators' page: read by a fixed number of queries, none of which counts over the log."""

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
WORST = ("lapsed", "disabled", "failing", "unverified", "active", "paused", "unsubscribed")
"""The states in the order in which an operator wants to see them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """Which subscriptions are asked for: of a state, with a text in their name, and which page of them."""

    state: str = ""
    text: str = ""
    page: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A subscription and how far it has been served."""

    id: uuid.UUID
    name: str
    state: str
    seen: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A subscription as the page shows it. `rate` is in changes a second; `actions` are the buttons that it offers."""

    subscription: Subscription
    name: str
    host: str
    changes: int
    lag: str
    rate: str
    aside: int
    held: bool
    actions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """One subscription in the picture of the lag; `width` is a part of a hundred."""

    name: str
    state: str
    lag: str
    width: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """All that the page shows."""

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
    """Read the state of everything."""
    using = settings.DATABASE
    present = feed.present(using)
    every = _places(present, using)
    fitting = sorted(filter(lambda one: _fits(one, asked), every), key=_worst)
    pages = max(-(-len(fitting) // SHOWN_A_PAGE), 1)
    asked = dataclasses.replace(asked, page=min(asked.page, pages))
    page = fitting[(asked.page - 1) * SHOWN_A_PAGE : asked.page * SHOWN_A_PAGE]
    late = sorted(
        (one for one in every if one.state != Subscription.State.UNSUBSCRIBED), key=operator.attrgetter("seen")
    )
    waited = lag.waits([one.seen for one in [*page, *late[:BARS]]], present, using)
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


def _places(present: Present, using: str) -> list[Place]:
    stored = Subscription.objects.using(using).order_by()
    columns = ("pk", "consumer__name", "name", "state", "cursor")
    return [
        Place(id=id_, name=f"{consumer}/{name}", state=state, seen=lag.reached_by(cursor, present))
        for id_, consumer, name, state, cursor in stored.values_list(*columns)
    ]


def _fits(one: Place, asked: Asked) -> bool:
    return asked.state in {"", one.state} and asked.text.lower() in one.name.lower()


def _worst(one: Place) -> tuple[int, int, str]:
    return WORST.index(one.state), one.seen, one.name


def _counts(every: Iterable[Place]) -> list[tuple[str, int]]:
    found = collections.Counter(one.state for one in every)
    return [(state, found[state]) for state in WORST if found[state]]


def _rows(
    page: list[Place], waited: dict[int, float], present: Present, since: tables.Since, settings: Settings
) -> list[Row]:
    """Return the page's subscriptions, whole."""
    there = Subscription.objects.using(settings.DATABASE).select_related("consumer").annotate(aside=Count("failures"))
    whole = there.in_bulk([one.id for one in page])
    transports = registry.of(settings)
    return [
        Row(
            subscription=one,
            name=place.name,
            host=transports.endpoint(one.callback),
            changes=max(present.seq - place.seen, 0),
            lag=charts.duration(waited.get(place.seen, 0.0)),
            rate=since.rate("subscriptions", str(one.pk), one.delivered),
            aside=getattr(one, "aside", 0),
            held=not (one.consumer.active and one.consumer.may_subscribe),
            actions=actions(one.state),
        )
        for place in page
        if (one := whole.get(place.id)) is not None
    ]


def _bars(late: list[Place], waited: dict[int, float]) -> list[Bar]:
    """Return a bar for each subscription that is behind, as a part of the one furthest behind."""
    behind = sorted(((waited.get(place.seen, 0.0), place) for place in late), key=lambda pair: -pair[0])
    most = behind[0][0] if behind else 0.0
    return [
        Bar(name=place.name, state=place.state, lag=charts.duration(lag), width=f"{max(100 * lag / most, 0.5):.1f}")
        for lag, place in behind
        if lag > 0
    ]


def _hosts(settings: Settings) -> list[Host]:
    """Return the hosts that are given up; they are tried by one notification alone."""
    there = Host.objects.using(settings.DATABASE).filter(failures__gte=settings.BREAKER_FAILURES)
    return list(there.order_by("-failures", "host")[:HOSTS])
