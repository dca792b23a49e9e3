"""Operators' actions on any consumer's subscriptions: list, pause, resume, enable, retry, rewind."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from django.db import transaction

from pubsubpull import conf, exceptions
from pubsubpull.delivery import hosts
from pubsubpull.log import feed, spans
from pubsubpull.subscriptions import lag, spec, starting_point
from pubsubpull.subscriptions.models import SERVED, Failure, Subscription
from pubsubpull.transports import registry

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from django.db.models import QuerySet

State = Subscription.State
ENDED = frozenset({State.DISABLED, State.UNSUBSCRIBED})
"""The states that `enable` ends."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """A subscription, its lag, and the number of its dead letters."""

    subscription: Subscription
    lag: lag.Lag
    failures: int
    """The number of its dead letters."""

    @property
    def name(self) -> str:
        """The subscription's name for operators: the consumer's name and its own."""
        return f"{self.subscription.consumer}/{self.subscription.name}"


def everyone(*, state: str | None = None) -> list[Standing]:
    """Return all subscriptions, or those of one state, by consumer and name."""
    now = feed.present(conf.get().DATABASE)
    chosen = _all().select_related("consumer").order_by("consumer__name", "name")
    if state is not None:
        chosen = chosen.filter(state=state)
    subscriptions = list(chosen)
    behind = lag.of(subscriptions, now, conf.get().DATABASE)
    return [
        Standing(subscription=subscription, lag=its_lag, failures=subscription.failures.count())
        for subscription, its_lag in zip(subscriptions, behind, strict=True)
    ]


def find(name: str) -> Subscription:
    """Return the subscription of the name `consumer/name`. Raises `SubscriptionError`."""
    # From the right: a consumer's name may have slashes, a subscription's may not.
    consumer, _, own = name.rpartition("/")
    subscription = _all().select_related("consumer").filter(consumer__name=consumer, name=own).first()
    if subscription is None:
        raise exceptions.SubscriptionError("name", f"there is no subscription {name!r}; `list` shows all.")
    return subscription


def pause(subscription: Subscription) -> Subscription:
    """Pause a subscription until it is resumed. Its cursor stays. Raises `SubscriptionError` if it is not delivered."""
    return _change(subscription.pk, _expect(SERVED, "delivered to"), {"state": State.PAUSED})


def resume(subscription: Subscription) -> Subscription:
    """Resume a paused subscription. Raises `SubscriptionError` if it is not paused."""
    return _change(subscription.pk, _expect({State.PAUSED}, "paused"), _begin)


def enable(subscription: Subscription) -> Subscription:
    """Enable a disabled or unsubscribed subscription at its old cursor. Raises `SubscriptionError` if it is neither."""
    return _change(subscription.pk, _expect(ENDED, "disabled or unsubscribed"), _begin)


def retry(subscription: Subscription) -> Subscription:
    """Try a failing subscription, and its host, at once. Raises `SubscriptionError` if it is not failing."""
    changed = _change(subscription.pk, _expect({State.FAILING, State.UNVERIFIED}, "failing"), {"next_attempt": None})
    # The host too: while its breaker is open, the subscription would wait for the breaker's own probe.
    hosts.Store(conf.get().DATABASE).close(registry.of(conf.get()).endpoint(changed.callback))
    return changed


def rewind(subscription: Subscription, to: str | dt.datetime) -> Subscription:
    """Rewind a subscription to a cursor, "now", "start" or a moment. Raises `SubscriptionError` and `CursorExpired`."""
    using = conf.get().DATABASE
    moment = to if isinstance(to, dt.datetime) else _moment(to)
    cursor = _cursor_at(to, using) if isinstance(to, str) and moment is None else _cursor_since(moment, using)
    return _change(subscription.pk, lambda _: None, {"cursor": cursor, "last_sent_cursor": cursor, "backfill": ""})


def failures(subscription: Subscription, id_: int | None = None) -> QuerySet[Failure]:
    """Return the dead letters of a subscription, oldest first, or only that with this id."""
    letters = Failure.objects.using(conf.get().DATABASE).filter(subscription_id=subscription.pk).order_by("version")
    return letters if id_ is None else letters.filter(pk=id_)


def _moment(to: str) -> dt.datetime | None:
    """Return the moment in a text; None for any other text."""
    try:
        return dt.datetime.fromisoformat(to)
    # Then it is a cursor or a word: no cursor looks like a time.
    except ValueError:
        return None


def _cursor_at(to: str, using: str) -> str | None:
    try:
        return starting_point.cursor_at(to, using)
    except exceptions.SubscriptionError as error:
        wrong = 'must be a cursor, "now", "start", or a time with its zone, as 2026-01-02T03:04:05Z.'
        raise exceptions.SubscriptionError(error.field, wrong) from error


def _cursor_since(moment: dt.datetime | None, using: str) -> str:
    """Return a cursor before every change made at `moment` or later. Some earlier changes may be sent again."""
    if moment is None or moment.tzinfo is None:
        raise exceptions.SubscriptionError("after", "must say its time zone too, as 2026-01-02T03:04:05Z.")
    now = feed.present(using)
    return now.after(spans.bounds(moment, None, using, near=1)[0] - 1).encode()


def _all() -> QuerySet[Subscription]:
    return Subscription.objects.using(conf.get().DATABASE)


def _expect(states: frozenset[State] | set[State], wanted: str) -> Callable[[Subscription], None]:
    def check(stored: Subscription) -> None:
        if stored.state not in states:
            raise exceptions.SubscriptionError("state", f"{stored.name} is not {wanted}: it is {stored.state}.")

    return check


def _begin(stored: Subscription) -> dict[str, Any]:
    """Return the fields with which delivery begins afresh: no failures, no back-off, no bisect."""
    fields = {"verify": stored.verify, "callback": stored.callback, "state": State.ACTIVE}
    return {
        "state": spec.unless_unverified(fields, stored.consented),
        "attempts": 0,
        "failing_since": None,
        "next_attempt": None,
        "last_error": "",
    }


def _change(
    id_: uuid.UUID,
    check: Callable[[Subscription], None],
    fields: dict[str, Any] | Callable[[Subscription], dict[str, Any]],
) -> Subscription:
    """Change a subscription and take it from its worker, so that the change takes effect at once."""
    with transaction.atomic(using=conf.get().DATABASE):
        stored = _all().select_for_update().get(pk=id_)
        # Checked under the lock: its state may have changed since the operator saw it.
        check(stored)
        for field, value in (fields(stored) if callable(fields) else fields).items():
            setattr(stored, field, value)
        stored.worker = None
        # A worker with the old number may write nothing more.
        stored.lease += 1
        stored.save()
    return stored
