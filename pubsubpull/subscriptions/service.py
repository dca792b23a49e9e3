"""The service of subscriptions: create, replace, list and delete them for a consumer."""

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

SubscriptionSpec = spec.SubscriptionSpec


def put(consumer: Consumer, name: str, requested: spec.SubscriptionSpec) -> tuple[Subscription, bool]:
    """Create or replace a subscription; return it, and True if it is new.

    Its worker releases it, so that the new options hold at once. Raise `SubscriptionError` or `CursorExpired` without
    any change.
    """
    using = conf.get().DATABASE
    # Before the transaction: the check of the callback may wait for a name lookup, and must hold no lock then.
    fields = spec.fields(consumer, name, requested)
    cursor = starting_point.of(requested, using)
    if cursor is not None:
        rows = BackfillPosition(models=tuple(fields["labels"]), run=backfill_position.new_run(_now()))
        backfill = rows.encode() if requested.instances else ""
        fields |= {"cursor": cursor, "last_sent_cursor": cursor, "backfill": backfill}
    with transaction.atomic(using=using):
        existing = _locked(consumer, name)
        if existing is not None:
            return _replace(existing, fields, requested), False
        # Behind the consumer's lock: two creations at once would otherwise both pass.
        _check_count(consumer)
        created, new = _create(consumer, name, fields, requested)
        if not new:
            # Locked before it is replaced, as in `_locked`: its worker may be writing a checkpoint.
            created = _replace(_own(consumer).select_for_update().get(pk=created.pk), fields, requested)
    return created, new


def _locked(consumer: Consumer, name: str) -> Subscription | None:
    """Return a subscription, locked; if there is none, lock the consumer."""
    named = _own(consumer).select_for_update().filter(name=name)
    if (existing := named.first()) is not None:
        return existing
    # Concurrent creations for a consumer wait for this lock, so that each counts the others.
    Consumer.objects.using(conf.get().DATABASE).select_for_update(no_key=True).filter(pk=consumer.pk).first()
    # Read again under the lock: another call may have created the subscription meanwhile.
    return named.first()


def _create(
    consumer: Consumer, name: str, fields: dict[str, Any], requested: SubscriptionSpec
) -> tuple[Subscription, bool]:
    """Create a subscription that starts now, unless its fields have a cursor; return it, and True if it is new."""
    using = conf.get().DATABASE
    cursor = fields.get("cursor") or feed.present(using).cursor().encode()
    public = requested.signature == signing.ED25519_VERSION
    # A concurrent call may have created it nevertheless: its row is returned then, to be replaced.
    return Subscription.objects.using(using).get_or_create(
        consumer_id=consumer.pk,
        name=name,
        defaults={
            **fields,
            "state": spec.unless_unverified(fields, ""),
            "cursor": cursor,
            "last_sent_cursor": cursor,
            "secrets": [] if public else vault.first(requested.secret or signing.new_secret()),
        },
    )


def _check_count(consumer: Consumer) -> None:
    most = conf.get().SUBSCRIPTIONS
    if _own(consumer).count() >= most:
        raise exceptions.SubscriptionError("name", f"would be one more than the {most} that a consumer may have.")


def page(consumer: Consumer, *, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Return the descriptions of at most `limit` subscriptions of a consumer, by name, after the name `after`."""
    own = _own(consumer).order_by("name").annotate(dead_letters=Count("failures"))
    subscriptions = list((own if after is None else own.filter(name__gt=after))[:limit])
    now = feed.present(conf.get().DATABASE)
    lags = lag.of(subscriptions, now, conf.get().DATABASE)
    return [
        description.of(subscription, lag=its_lag, failures=subscription.dead_letters)
        for subscription, its_lag in zip(subscriptions, lags, strict=True)
    ]


def get(consumer: Consumer, name: str) -> Subscription | None:
    """Return a consumer's subscription by name, or None."""
    # No other name is asked for: with a NUL in it, the query would fail.
    return _own(consumer).filter(name=name).first() if spec.NAME_PATTERN.fullmatch(name) else None


def delete(consumer: Consumer, name: str) -> bool:
    """Delete a subscription; return True if it existed. Its worker notices with the next renewal."""
    if not spec.NAME_PATTERN.fullmatch(name):
        return False
    with transaction.atomic(using=conf.get().DATABASE):
        # Locked first: its worker could otherwise add a dead letter, which would then refer to a deleted row.
        subscription = _own(consumer).select_for_update().filter(name=name).first()
        if subscription is not None:
            subscription.delete()
    return subscription is not None


def _own(consumer: Consumer) -> QuerySet[Subscription]:
    return Subscription.objects.using(conf.get().DATABASE).filter(consumer_id=consumer.pk)


def _replace(subscription: Subscription, fields: dict[str, Any], requested: SubscriptionSpec) -> Subscription:
    """Set other fields of a locked subscription, and take it from its worker."""
    subscription.replace_options(fields)
    # After the options, which reset the consent of another callback.
    subscription.state = spec.unless_unverified(fields, subscription.consented)
    if requested.instances:
        # The backfill sends the rows behind the dead letters, in their present state.
        subscription.failures.all().delete()
    subscription.secrets = _secrets(subscription, requested.secret)
    # After a new secret is in front: the end is for the older ones, and spares the first.
    if requested.old_secret_until is not None:
        until = spec.seconds(requested.old_secret_until)
        subscription.secrets = vault.ended(subscription.secrets, until=until, now=_now())
    # Tried again at once: the new options may mend what failed.
    subscription.attempts, subscription.failing_since = 0, None
    subscription.next_attempt, subscription.last_error = None, ""
    subscription.worker = None
    # The fencing token grows: checkpoints that the worker still has under way are refused.
    subscription.lease += 1
    subscription.save()
    return subscription


def _secrets(subscription: Subscription, secret: str | None) -> list[vault.Sealed]:
    """Return the secrets to store; raise `SubscriptionError` if none of them can be used."""
    if subscription.signature == signing.ED25519_VERSION:
        return []
    if secret is not None:
        return vault.added(
            subscription.secrets,
            secret,
            now=_now(),
            overlap=conf.get().SECRET_OVERLAP,
        )
    if not subscription.secrets:
        raise exceptions.SubscriptionError("secret", "must be given: the subscription has had none so far.")
    try:
        # For its error only: without a readable secret, each send would fail.
        vault.opened(subscription.secrets)
    except exceptions.SecretError as error:
        raise exceptions.SubscriptionError("secret", "must be given: the stored one can no longer be read.") from error
    return list(subscription.secrets)


def secret_of(subscription: Subscription) -> str | None:
    """Return the newest secret; None if the service signs with its own key."""
    return next((secret.text for secret in vault.opened(subscription.secrets)), None)


def _now() -> float:
    return clock.now(conf.get().DATABASE)


def describe(subscription: Subscription, now: Present) -> dict[str, Any]:
    """Return the API's description of a subscription, never with the secret."""
    (its_lag,) = lag.of([subscription], now, conf.get().DATABASE)
    return description.of(subscription, lag=its_lag, failures=subscription.failures.count())
