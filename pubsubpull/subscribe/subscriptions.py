"""Subscriptions as consumers make, see and end them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Any

from django.db import transaction

from pubsubpull import conf, exceptions
from pubsubpull.capture import feed, sql
from pubsubpull.capture.cursor import Cursor
from pubsubpull.pull import consumers
from pubsubpull.subscribe import formats, guard, initial, signing, times, uri, vault
from pubsubpull.subscribe.models import Subscription
from pubsubpull.subscribe.store import OPS

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from pubsubpull.pull.models import Consumer

State = Subscription.State
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}")
BATCH = range(1, 1001)
"""How many changes a notification may have at most."""
CONCURRENCY = range(1, 33)
"""How many changes may be on their way at once, where each has a URL of its own."""
RATE = (0.01, 1_000_000.0)
"""How many changes a second a subscription may be limited to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What a consumer asks for.

    `after` is a cursor, `now`, `start`, or None: where it is, and now for a new one.
    `old_secret_until` ends the secrets before the newest one, at the latest after SECRET_OVERLAP.
    `verify` is None for what the settings say. With `instances` all rows are sent (again), and then the changes.
    """

    callback: str
    models: list[str]
    ops: list[str] | None = None
    batch: int = 100
    max_rate: float | None = None
    concurrency: int = 1
    format: str = formats.PAGE
    on_failure: str = "block"
    after: str | None = None
    secret: str | None = dataclasses.field(default=None, repr=False)
    old_secret_until: str | None = None
    signature: str = signing.VERSION
    paused: bool = False
    verify: bool | None = None
    instances: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lag:
    """How far a subscription is behind: at most so many changes, the first of which has waited for so many seconds.

    `changes` counts the versions that were given out since its cursor was recorded, for whatever model, and those of
    transactions that were rolled back.
    """

    changes: int
    seconds: float


def put(consumer: Consumer, name: str, wish: Wish) -> tuple[Subscription, bool]:
    """Make the subscription, or replace it; return it and whether it is new.

    Its worker lets go of it, so that what is asked for holds at once. Raises `SubscriptionError` and
    `CursorExpired`, with nothing changed.
    """
    using = conf.get().DATABASE
    fields = _checked(consumer, name, wish)
    public = wish.signature == signing.PUBLIC_VERSION
    cursor = _beginning(wish, using)
    if cursor is not None:
        place = initial.Place(models=tuple(fields["wanted"]))
        fields |= {"cursor": cursor, "told": cursor, "initial": place.encode() if wish.instances else ""}
    with transaction.atomic(using=using):
        there = _own(consumer).select_for_update().filter(name=name).first()
        if there is not None:
            return _replace(there, fields, wish), False
        cursor = cursor or feed.present(using).cursor().encode()
        # Whoever makes the same one at the same time wins, and is replaced.
        made, new = Subscription.objects.using(using).get_or_create(
            consumer_id=consumer.pk,
            name=name,
            defaults={
                **fields,
                "state": unless_unverified(fields, ""),
                "cursor": cursor,
                "told": cursor,
                "secrets": [] if public else vault.first(wish.secret or signing.new_secret()),
            },
        )
        if not new:
            made = _replace(_own(consumer).select_for_update().get(pk=made.pk), fields, wish)
    return made, new


def all_of(consumer: Consumer) -> QuerySet[Subscription]:
    """Return a consumer's subscriptions, by name."""
    return _own(consumer).order_by("name")


def get(consumer: Consumer, name: str) -> Subscription | None:
    """Return a consumer's subscription, None where it has none of this name."""
    return _own(consumer).filter(name=name).first() if NAME.fullmatch(name) else None


def delete(consumer: Consumer, name: str) -> bool:
    """End a subscription; say whether there was one. Its worker sees it with its next look."""
    if not NAME.fullmatch(name):
        return False
    with transaction.atomic(using=conf.get().DATABASE):
        # The lock keeps its worker from setting a change aside meanwhile.
        there = _own(consumer).select_for_update().filter(name=name).first()
        if there is not None:
            there.delete()
    return there is not None


def lag(subscription: Subscription, now: feed.Present) -> Lag:
    """Return how far a subscription is behind, estimated from the ids."""
    try:
        cursor = Cursor.decode(subscription.cursor)
    except exceptions.CursorInvalid:
        return Lag(changes=0, seconds=0.0)
    seen = cursor.window.last if cursor.window else cursor.seq
    if now.seq <= seen:
        return Lag(changes=0, seconds=0.0)
    ((seconds,),) = sql.run(conf.get().DATABASE, sql.compose("queries/subscribe/lag", seen=seen))
    return Lag(changes=now.seq - seen, seconds=seconds)


def _own(consumer: Consumer) -> QuerySet[Subscription]:
    return Subscription.objects.using(conf.get().DATABASE).filter(consumer_id=consumer.pk)


def _replace(there: Subscription, fields: dict[str, Any], wish: Wish) -> Subscription:
    """Give a locked subscription other fields, and take it from its worker."""
    if there.max_rate != fields["max_rate"]:
        there.free_at = None
    if there.callback != fields["callback"]:
        there.consented, there.allowed_rate, there.free_at = "", None, None
    for field, value in fields.items():
        setattr(there, field, value)
    there.state = unless_unverified(fields, there.consented)
    there.secrets = _secrets(there, wish.secret)
    if wish.old_secret_until is not None:
        there.secrets = vault.ended(there.secrets, until=_seconds(wish.old_secret_until), now=time.time())
    there.attempts, there.failing_since, there.next_attempt, there.last_error = 0, None, None, ""
    there.worker = None
    there.lease += 1
    there.save()
    return there


def _secrets(there: Subscription, secret: str | None) -> list[vault.Sealed]:
    """Return what is stored of its secrets; raises `SubscriptionError` where it has none that can be used."""
    if there.signature == signing.PUBLIC_VERSION:
        return []
    if secret is not None:
        return vault.added(there.secrets, secret, now=time.time(), overlap=conf.get().SECRET_OVERLAP)
    if not there.secrets:
        raise exceptions.SubscriptionError("secret", "must be given: the subscription has had none so far.")
    try:
        vault.opened(there.secrets)
    except exceptions.SecretError as error:
        raise exceptions.SubscriptionError(
            "secret", "must be given: the one that is stored can no longer be read."
        ) from error
    return list(there.secrets)


def _seconds(moment: str) -> float:
    wrong = exceptions.SubscriptionError("old_secret_until", "must be a time with its zone, as 2026-01-02T03:04:05Z.")
    try:
        found = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise wrong from None
    if found.tzinfo is None:
        raise wrong
    return found.timestamp()


def _checked(consumer: Consumer, name: str, wish: Wish) -> dict[str, Any]:
    """Return the fields that the wish comes to; raises `SubscriptionError` for the first that is wrong."""
    if not NAME.fullmatch(name):
        raise exceptions.SubscriptionError(
            "name", "must be 1 to 100 letters, digits, '.', '_', '~' or '-', and begin with a letter or digit."
        )
    if wish.secret is not None:
        signing.key(wish.secret)
    if wish.old_secret_until is not None:
        _seconds(wish.old_secret_until)
    if wish.batch not in BATCH:
        raise exceptions.SubscriptionError("batch", f"must be from {BATCH[0]} to {BATCH[-1]}.")
    if wish.max_rate is not None and not RATE[0] <= wish.max_rate <= RATE[1]:
        raise exceptions.SubscriptionError("max_rate", f"must be from {RATE[0]} to {RATE[1]} changes a second.")
    return {
        "callback": _callback(wish.callback),
        "wanted": _models(consumer, wish.models),
        "ops": _ops(wish.ops),
        "batch": wish.batch,
        "max_rate": wish.max_rate,
        "verify": _verify(wish.verify),
        "concurrency": _concurrency(wish),
        "form": _format(wish.format),
        "on_failure": _on_failure(wish.on_failure),
        "signature": _signature(wish),
        "state": State.PAUSED if wish.paused else State.ACTIVE,
    }


def _beginning(wish: Wish, using: str) -> str | None:
    """Return the cursor from which the wish has the changes sent; None for where they are."""
    if not wish.instances:
        return cursor_at(wish.after, using)
    if wish.after is not None:
        raise exceptions.SubscriptionError("after", "must not be given with instances: changes follow upon the rows.")
    return cursor_at("now", using)


def _verify(wanted: bool | None) -> bool:
    setting = conf.get().VERIFY
    if setting == "always" and wanted is False:
        raise exceptions.SubscriptionError("verify", "must not be false: every receiver is asked for its consent here.")
    return setting != "off" if wanted is None else wanted


def unless_unverified(fields: dict[str, Any], consented: str) -> str:
    """Return the state, which is unverified where the receiver at the callback has yet to consent."""
    waits = fields["verify"] and consented != fields["callback"]
    return State.UNVERIFIED if waits and fields["state"] == State.ACTIVE else fields["state"]


def _models(consumer: Consumer, models: list[str]) -> list[str]:
    if not models:
        raise exceptions.SubscriptionError("models", "must name at least one model.")
    may = consumers.granted(consumer)
    for model in models:
        if model not in may:
            raise exceptions.SubscriptionError(
                "models", f"{model[:200]!r} is not a published model that this consumer may read."
            )
    return sorted(set(models))


def _ops(ops: list[str] | None) -> list[str]:
    if ops is None:
        return list(OPS)
    if not ops or not set(ops) <= set(OPS):
        raise exceptions.SubscriptionError("ops", f"must be some of {', '.join(OPS)}.")
    return [op for op in OPS if op in ops]


def _concurrency(wish: Wish) -> int:
    if wish.concurrency not in CONCURRENCY:
        raise exceptions.SubscriptionError("concurrency", f"must be from {CONCURRENCY[0]} to {CONCURRENCY[-1]}.")
    if wish.concurrency > 1 and not uri.is_template(wish.callback):
        raise exceptions.SubscriptionError(
            "concurrency",
            "must be 1 where all changes go to one URL; a callback with {key} in it allows more.",
        )
    return wish.concurrency


def _format(form: str) -> str:
    if form not in formats.FORMATS:
        raise exceptions.SubscriptionError("format", f"must be {' or '.join(formats.FORMATS)}.")
    return form


def _signature(wish: Wish) -> str:
    if wish.signature not in {signing.VERSION, signing.PUBLIC_VERSION}:
        raise exceptions.SubscriptionError("signature", f"must be {signing.VERSION} or {signing.PUBLIC_VERSION}.")
    if wish.signature == signing.PUBLIC_VERSION and wish.secret is not None:
        raise exceptions.SubscriptionError("secret", "must not be given where the service signs with a key of its own.")
    return wish.signature


def _on_failure(on_failure: str) -> str:
    if on_failure not in Subscription.OnFailure.values:
        raise exceptions.SubscriptionError("on_failure", f"must be {' or '.join(Subscription.OnFailure.values)}.")
    return on_failure


def _callback(callback: str) -> str:
    settings = conf.get()
    uri.check(callback)
    guard.check_callback(guard.Guard.of(settings), uri.example(callback), limit=settings.CONNECT_TIMEOUT)
    return callback


def cursor_at(after: str | None, using: str) -> str | None:
    """Return the cursor that `after` means; raises `SubscriptionError` or `CursorExpired`."""
    if after is None:
        return None
    present = feed.present(using)
    if after == "now":
        return present.cursor().encode()
    if after == "start":
        return present.start().encode()
    try:
        cursor = Cursor.decode(after)
    except exceptions.CursorInvalid as error:
        raise exceptions.SubscriptionError("after", 'must be a cursor, "now" or "start".') from error
    feed.check(cursor, present)
    return after


def secret_of(subscription: Subscription) -> str | None:
    """Return the newest secret, for the answer that made it; None where the service signs with a key of its own."""
    return next((secret.text for secret in vault.opened(subscription.secrets)), None)


def _end_of_old(subscription: Subscription) -> str | None:
    ends = [one["until"] for one in subscription.secrets[1:] if one["until"] and one["until"] > time.time()]
    return times.text(dt.datetime.fromtimestamp(ends[0], dt.UTC)) if ends else None


def describe(subscription: Subscription, now: feed.Present) -> dict[str, Any]:
    """Return what a consumer is told of its subscription; never the secret."""
    behind = lag(subscription, now)
    return {
        "name": subscription.name,
        "callback": subscription.callback,
        "models": subscription.wanted,
        "ops": subscription.ops,
        "batch": subscription.batch,
        "max_rate": subscription.max_rate,
        "allowed_rate": subscription.allowed_rate,
        "concurrency": subscription.concurrency,
        "format": subscription.form,
        "verify": subscription.verify,
        "on_failure": subscription.on_failure,
        "signature": subscription.signature,
        "old_secret_until": _end_of_old(subscription),
        "state": subscription.state,
        "instances": bool(subscription.initial),
        "cursor": subscription.cursor,
        "lag": {"changes": behind.changes, "seconds": round(behind.seconds, 3)},
        "failures": subscription.failures.count(),
        "delivered": subscription.delivered,
        "last_delivered": times.text(subscription.last_delivered),
        "attempts": subscription.attempts,
        "failing_since": times.text(subscription.failing_since),
        "next_attempt": times.text(subscription.next_attempt),
        "last_error": subscription.last_error or None,
        "created": times.text(subscription.created),
    }
