"""Changes set aside, as the consumer of the subscription sees them: listed, retried, dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pubsubpull import conf
from pubsubpull.base import times
from pubsubpull.log import sizes
from pubsubpull.pull import consumers
from pubsubpull.subscriptions.models import Failure

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from pubsubpull.subscriptions.models import Subscription


def of(subscription: Subscription) -> QuerySet[Failure]:
    """Return what is set aside, oldest first, of the models that its consumer may still read."""
    found = Failure.objects.using(conf.get().DATABASE).filter(subscription_id=subscription.pk).order_by("version")
    return found.filter(model__in=consumers.granted(subscription.consumer))


def page(subscription: Subscription, *, after: int | None, limit: int) -> list[Failure]:
    """Return at most `limit` of what is set aside, and about 8 MB, after the change of this version."""
    found = of(subscription)
    if after is not None:
        found = found.filter(version__gt=after)
    kept, size = list[Failure](), 0
    for one in found[:limit].iterator(chunk_size=10):
        size += len(one.item)
        if kept and size > sizes.PAGE:
            break
        kept.append(one)
    return kept


def retry(subscription: Subscription, id_: int | None = None) -> int:
    """Have one change, or all, tried again by the worker that holds the subscription; return how many there are."""
    return _chosen(subscription, id_).update(wanted=True)


def drop(subscription: Subscription, id_: int | None = None) -> int:
    """Forget one change, or all; return how many there were."""
    return _chosen(subscription, id_).delete()[0]


def describe(failure: Failure) -> dict[str, Any]:
    """Return what a consumer is told of a change set aside, but for the change itself."""
    return {
        "id": failure.pk,
        "set_aside": times.text(failure.set_aside),
        "attempts": failure.attempts,
        "tried": times.text(failure.tried),
        "status": failure.status,
        "answer": failure.answer,
        "error": failure.error,
        "retrying": failure.wanted,
    }


def _chosen(subscription: Subscription, id_: int | None) -> QuerySet[Failure]:
    found = of(subscription)
    return found if id_ is None else found.filter(pk=id_)
