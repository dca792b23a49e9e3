"""Parked changes: for each key, the change that failed and all later ones, until they are retried or dropped."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pubsubpull.capture import sql
from pubsubpull.replica.models import Parked
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from django.db.models import QuerySet

    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.pages import Page

logger = logging.getLogger(__name__)


def of(name: str, using: str) -> QuerySet[Parked]:
    """Return the parked changes of a replica, in order."""
    return Parked.objects.using(using).filter(replica=name, done=False).order_by("version")


def hold(cohort: Cohort, pages: Iterable[Page], *, using: str) -> list[int]:
    """Park the changes of keys with parked changes, in pages about to be applied; return the versions to leave out."""
    if not cohort.apart:
        return []
    (effect,) = cohort.members
    held: list[int] = []
    for page in pages:
        keys = set(of(effect.name, using).values_list("key", flat=True))
        done = Parked.objects.using(using).filter(replica=effect.name, done=True)
        items = [item for item in jsontext.loads(page.body)["items"] if item["model"] == effect.source]
        if keys and any(item["op"] == "truncate" for item in items):
            # A truncate removes the rows of all keys, so their parked changes mean nothing any more.
            forget([effect.name], using, why="its table was truncated at the source")
            return held
        left = set(done.values_list("version", flat=True)) & {item["version"] for item in items}
        behind = [item["version"] for item in items if item["key"] in keys and item["version"] not in left]
        done.filter(version__in=left).delete()
        keep(effect.name, effect.source, page, behind, passed=True, using=using)
        held += [*left, *behind]
    return held


def finish(name: str, using: str, *, key: str | None = None, upto: int | None = None) -> int:
    """Remove parked changes that were applied or dropped, of one key or all; return their number."""
    # A change that the cursor has not passed yet stays, marked as done: its page is still to come, and must skip it.
    finished = of(name, using)
    finished = finished if key is None else finished.filter(key=key)
    finished = finished if upto is None else finished.filter(version__lte=upto)
    marked = finished.filter(passed=False).update(done=True)
    gone, _ = finished.filter(passed=True).delete()
    return marked + gone


def forget(names: Collection[str], using: str, *, why: str) -> None:
    """Drop all parked changes of replicas, and log the reason."""
    for name in names:
        count = of(name, using).count()
        Parked.objects.using(using).filter(replica=name).delete()
        if count:
            logger.warning("Replica %s: %s changes that were set aside are dropped: %s", name, count, why)


def keep(
    name: str, source: str, page: Page, versions: Sequence[int], *, error: str = "", passed: bool, using: str
) -> None:
    """Park some changes of a page, given by their versions."""
    if versions:
        query = sql.template("queries/replica/park")
        values = {"replica": name, "source": source, "versions": list(versions), "error": error, "passed": passed}
        sql.run_bound(using, query, body=page.body, **values)
