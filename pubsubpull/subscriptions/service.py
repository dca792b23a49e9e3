"""Subscriptions as consumers make, see and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count

from pubsubpull import conf, exceptions
from pubsubpull.capture import clock
from pubsubpull.log import feed
from pubsubpull.pull.models import Consumer
from pubsubpull.subscriptions import backfill_position, description, lag, spec, starting_point, vault
from pubsubpull.subscriptions.backfill_position import BackfillPosition
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from pubsubpull.log.present import Present

Wish = spec.Wish


def put(consumer: Consumer, name: str, wish: spec.Wish) -> tuple[Subscription, bool]:
    """Make the subscription, or replace it; return it and whether it is new.

    Its worker lets go of it, so that what is asked for holds at once. Raises `SubscriptionError` and
    `CursorExpired`, with nothing changed.
    """
    using = conf.get().DATABASE
    fields = spec.fields(consumer, name, wish)
    public = wish.signature == signing.PUBLIC_VERSION
    cursor = starting_point.of(wish, using)
    if cursor is not None:
        place = BackfillPosition(models=tuple(fields["wanted"]), run=backfill_position.new_run(_now()))
        fields |= {"cursor": cursor, "told": cursor, "initial": place.encode() if wish.instances else ""}
    with transaction.atomic(using=using):
        named = _own(consumer).select_for_update().filter(name=name)
        there = named.first()
        if there is None:
            # Others that make one for the same consumer wait here, so that each counts those before it.
            Consumer.objects.using(using).select_for_update(no_key=True).filter(pk=consumer.pk).first()
            there = named.first()
        if there is not None:
            return _replace(there, fields, wish), False
        _check_count(consumer)
        cursor = cursor or feed.present(using).cursor().encode()
        # Whoever makes the same one at the same time wins, and is replaced.
        made, new = Subscription.objects.using(using).get_or_create(
            consumer_id=consumer.pk,
            name=name,
            defaults={
                **fields,
                "state": spec.unless_unverified(fields, ""),
                "cursor": cursor,
                "told": cursor,
                "secrets": [] if public else vault.first(wish.secret or signing.new_secret()),
            },
        )
        if not new:
            made = _replace(_own(consumer).select_for_update().get(pk=made.pk), fields, wish)
    return made, new


def _check_count(consumer: Consumer) -> None:
    most = conf.get().SUBSCRIPTIONS
    if _own(consumer).count() >= most:
        raise exceptions.SubscriptionError("name", f"would be one more than the {most} that a consumer may have.")


def page(consumer: Consumer, *, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return what is told of at most `limit` of a consumer's subscriptions, by name, those after the name `after`."""
    own = _own(consumer).order_by("name").annotate(aside=Count("failures"))
    found = list((own if after is None else own.filter(name__gt=after))[:limit])
    now = feed.present(conf.get().DATABASE)
    behind = lag.of(found, now, conf.get().DATABASE)
    return [
        description.of(subscription, lag=its_lag, failures=subscription.aside)
        for subscription, its_lag in zip(found, behind, strict=True)
    ]


def get(consumer: Consumer, name: str) -> Subscription | None:
    """Return a consumer's subscription, None where it has none of this name."""
    return _own(consumer).filter(name=name).first() if spec.NAME.fullmatch(name) else None


def delete(consumer: Consumer, name: str) -> bool:
    """End a subscription; say whether there was one. Its worker sees it with its next look."""
    if not spec.NAME.fullmatch(name):
        return False
    with transaction.atomic(using=conf.get().DATABASE):
        # The lock keeps its worker from setting a change aside meanwhile.
        there = _own(consumer).select_for_update().filter(name=name).first()
        if there is not None:
            there.delete()
    return there is not None


def _own(consumer: Consumer) -> QuerySet[Subscription]:
    return Subscription.objects.using(conf.get().DATABASE).filter(consumer_id=consumer.pk)


def _replace(there: Subscription, fields: dict[str, Any], wish: Wish) -> Subscription:
    """Give a locked subscription other fields, and take it from its worker."""
    there.replace_options(fields)
    there.state = spec.unless_unverified(fields, there.consented)
    if wish.instances:
        # Of what was set aside the rows tell, as they are now.
        there.failures.all().delete()
    there.secrets = _secrets(there, wish.secret)
    if wish.old_secret_until is not None:
        there.secrets = vault.ended(there.secrets, until=spec.seconds(wish.old_secret_until), now=_now())
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
        return vault.added(
            there.secrets,
            secret,
            now=_now(),
            overlap=conf.get().SECRET_OVERLAP,
        )
    if not there.secrets:
        raise exceptions.SubscriptionError("secret", "must be given: the subscription has had none so far.")
    try:
        vault.opened(there.secrets)
    except exceptions.SecretError as error:
        raise exceptions.SubscriptionError(
            "secret", "must be given: the one that is stored can no longer be read."
        ) from error
    return list(there.secrets)


def secret_of(subscription: Subscription) -> str | None:
    """Return the newest secret, for the answer that made it; None where the service signs with a key of its own."""
    return next((secret.text for secret in vault.opened(subscription.secrets)), None)


def _now() -> float:
    return clock.now(conf.get().DATABASE)


def describe(subscription: Subscription, now: Present) -> dict[str, Any]:
    """Return what a consumer is told of its subscription; never the secret."""
    (its_lag,) = lag.of([subscription], now, conf.get().DATABASE)
    return description.of(subscription, lag=its_lag, failures=subscription.failures.count())
