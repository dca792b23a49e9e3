"""Labels that no published model has, as after a rename, and the move of their history to a new label."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from pubsubpull import exceptions
from pubsubpull.capture import planning, registry, sql
from pubsubpull.pull import consumers
from pubsubpull.pull.models import Consumer
from pubsubpull.subscriptions import backfill_position
from pubsubpull.subscriptions.models import Failure, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

HINT = (
    'If its model was renamed, publish it under the label it had: publish(Model, label="{label}"); or carry all over '
    "with `pubsubpull_rename {label} NEW`. If it is no longer published, `pubsubpull_consumer revoke` takes its grants."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unknown:
    """A label that no published model has."""

    label: str
    consumers: tuple[str, ...] = ()
    """The names of the consumers that it is granted to."""
    subscriptions: tuple[str, ...] = ()
    """The subscriptions that ask for it, as `consumer/name`."""
    logged: bool = False
    """True if the log has changes of it, as far as PostgreSQL's statistics say."""

    @property
    def where(self) -> str:
        """Return the consumers and subscriptions that name the label, and the log."""
        names = [f"consumer {name}" for name in self.consumers]
        names += [f"subscription {name}" for name in self.subscriptions]
        return ", ".join([*names, *(["the log"] if self.logged else [])])


def unknown(using: str) -> list[Unknown]:
    """Return the labels of grants, subscriptions and the log that no published model has, sorted."""
    granted, asked = dict[str, list[str]](), dict[str, list[str]]()
    for name, labels in Consumer.objects.using(using).order_by("name").values_list("name", "granted"):
        for label in labels:
            granted.setdefault(label, []).append(name)
    for name, labels in subscribed(using):
        for label in labels:
            asked.setdefault(label, []).append(name)
    # From the statistics: to look through the log itself would take as long as the log is large.
    logged = {label for (label,) in sql.run(using, sql.template("queries/labels/seen"))}
    published = {consumers.ALL_MODELS, consumers.EVENTS, *consumers.known_labels()}
    return [
        Unknown(
            label=label,
            consumers=tuple(granted.get(label, ())),
            subscriptions=tuple(asked.get(label, ())),
            logged=label in logged,
        )
        for label in sorted({*granted, *asked, *logged} - published)
    ]


def subscribed(using: str) -> list[tuple[str, list[str]]]:
    """Return each subscription, as `consumer/name`, with the labels that it asks for."""
    stored = Subscription.objects.using(using).order_by("consumer__name", "name")
    return [(f"{of}/{name}", labels) for of, name, labels in stored.values_list("consumer__name", "name", "labels")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Carried:
    """The numbers of rows under a label, or carried over to another."""

    changes: int
    consumers: int
    subscriptions: int
    failures: int


def carry_over(of: str, to: str, *, using: str, dry_run: bool = False) -> Carried:
    """Carry all rows under the label `of` over to the published label `to`; return their numbers.

    Versions and cursors stay the same. Raises `PublicationError` if `of` is still published, if `to` is not published,
    or if changes of `of` are sealed: a seal also proves the label of a change.
    """
    check(of, to, using)
    with transaction.atomic(using):
        # First: changes that are counted as not sealed must not be sealed before they are renamed.
        sql.run(using, sql.template("queries/labels/hold_seals"))
        ((changes, sealed),) = sql.run(using, sql.compose("queries/labels/count", label=of))
        if sealed:
            raise exceptions.PublicationError(
                f"{sealed:,} changes of {of} are sealed, and seals prove the label, too. Keep it: publish the model "
                f'with label="{of}", and all that is kept under it stays in use.'
            )
        carried = Carried(
            changes=changes,
            consumers=_grants(of, to, using),
            subscriptions=_subscriptions(of, to, using),
            failures=Failure.objects.using(using).filter(model=of).update(model=to),
        )
        if dry_run:
            # The counts are those of the work itself, which is then undone.
            transaction.set_rollback(True, using)
        else:
            sql.run(using, sql.compose("queries/labels/rename", of=of, to=to))
            sql.run(using, sql.template("queries/labels/analyze"))
    return carried


def check(of: str, to: str, using: str) -> None:
    """Raise `PublicationError` unless `of` is no longer published, and `to` is published and captured."""
    known = ", ".join(registry.all_publications()) or "none"
    if registry.get(of) is not None:
        raise exceptions.PublicationError(f"{of} is published: its changes are its own. Name a label that was.")
    if registry.get(to) is None:
        raise exceptions.PublicationError(f"{to} is not published. Published are: {known}.")
    plan = planning.plan(using)
    if plan is None or plan.actions:
        raise exceptions.PublicationError(
            "The triggers differ from what is published, and may still write the old label: run migrate, or "
            "`pubsubpull_triggers --sync`, first."
        )


def _grants(of: str, to: str, using: str) -> int:
    # Locked: a grant that an operator changes meanwhile would be overwritten.
    holders = [consumer for consumer in Consumer.objects.using(using).select_for_update() if of in consumer.granted]
    for consumer in holders:
        consumer.granted = sorted({to if label == of else label for label in consumer.granted})
        consumer.save(update_fields=["granted"], using=using)
    return len(holders)


def _subscriptions(of: str, to: str, using: str) -> int:
    """Have subscriptions ask for the new label, and take them from their workers; return their number."""

    def replaced(labels: list[Any]) -> list[Any]:
        return list(dict.fromkeys(to if label == of else label for label in labels))

    subscriptions = [
        subscription
        for subscription in Subscription.objects.using(using).select_for_update()
        if of in subscription.labels
    ]
    for subscription in subscriptions:
        Subscription.objects.using(using).filter(pk=subscription.pk).update(
            labels=sorted(replaced(subscription.labels)),
            backfill=_backfill(subscription.backfill, replaced),
            # Its worker reads by the old label until it claims the subscription again.
            worker=None,
            lease=F("lease") + 1,
        )
    return len(subscriptions)


def _backfill(text: str, replaced: Callable[[list[Any]], list[Any]]) -> str:
    """Return the position in a backfill, with the other label."""
    position = backfill_position.decode(text)
    if position is None:
        return ""
    return dataclasses.replace(position, models=tuple(replaced(list(position.models)))).encode()
