"""Dead letters for the consumer of a subscription: to list, to retry, and to drop."""

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
    """Return a subscription's dead letters, oldest first, of the models that its consumer may still read."""
    failures = Failure.objects.using(conf.get().DATABASE).filter(subscription_id=subscription.pk).order_by("version")
    # Granted now: a dead letter must not outlive the right to read its model.
    return failures.filter(model__in=consumers.granted(subscription.consumer))


def page(subscription: Subscription, *, after: int | None, limit: int) -> list[Failure]:
    """Return the dead letters after the version `after`, at most `limit`, and at most about 8 MB."""
    failures = of(subscription)
    if after is not None:
        failures = failures.filter(version__gt=after)
    kept, size = list[Failure](), 0
    # In chunks: items may be large, and the memory for `limit` of them is not bounded otherwise.
    for failure in failures[:limit].iterator(chunk_size=10):
        size += len(failure.item)
        if kept and size > sizes.PAGE_BYTES:
            break
        kept.append(failure)
    return kept


def retry(subscription: Subscription, id_: int | None = None) -> int:
    """Have a dead letter, or all, sent again by the subscription's worker; return their number."""
    return _chosen(subscription, id_).update(retrying=True)


def drop(subscription: Subscription, id_: int | None = None) -> int:
    """Delete a dead letter, or all; return their number."""
    return _chosen(subscription, id_).delete()[0]


def describe(failure: Failure) -> dict[str, Any]:
    """Return the API's description of a dead letter, without the change itself."""
    return {
        "id": failure.pk,
        "set_aside": times.text(failure.set_aside),
        "attempts": failure.attempts,
        "tried": times.text(failure.tried),
        "status": failure.status,
        "answer": failure.answer,
        "error": failure.error,
        "retrying": failure.retrying,
    }


def _chosen(subscription: Subscription, id_: int | None) -> QuerySet[Failure]:
    failures = of(subscription)
    return failures if id_ is None else failures.filter(pk=id_)
