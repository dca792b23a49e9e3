"""What replicas have set aside: by key, with all that follows for the key, until somebody decides."""

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
    """Return what is set aside of a replica, in order."""
    return Parked.objects.using(using).filter(replica=name, done=False).order_by("version")


def hold(cohort: Cohort, given: Iterable[Page], *, using: str) -> list[int]:
    """Set aside, of pages about to be applied, the changes of keys that have some set aside; return their versions.

    A truncate takes the rows that these are of: nothing is left of what is set aside before it.
    """
    if not cohort.apart:
        return []
    (follows,) = cohort.replicas
    held: list[int] = []
    for page in given:
        keys = set(of(follows.name, using).values_list("key", flat=True))
        done = Parked.objects.using(using).filter(replica=follows.name, done=True)
        items = [item for item in jsontext.loads(page.body)["items"] if item["model"] == follows.source]
        if keys and any(item["op"] == "truncate" for item in items):
            forget([follows.name], using, why="its table was truncated at the source")
            return held
        left = set(done.values_list("version", flat=True)) & {item["version"] for item in items}
        behind = [item["version"] for item in items if item["key"] in keys and item["version"] not in left]
        done.filter(version__in=left).delete()
        keep(follows.name, follows.source, page, behind, passed=True, using=using)
        held += [*left, *behind]
    return held


def finish(name: str, using: str, *, key: str | None = None, upto: int | None = None) -> int:
    """Forget what has been applied or dropped, of one key or all; return how many changes that were.

    What the replica has not passed yet is kept to be left out.
    """
    there = of(name, using)
    there = there if key is None else there.filter(key=key)
    there = there if upto is None else there.filter(version__lte=upto)
    marked = there.filter(passed=False).update(done=True)
    gone, _ = there.filter(passed=True).delete()
    return marked + gone


def forget(names: Collection[str], using: str, *, why: str) -> None:
    """Drop what is set aside of replicas, for a reason that is told."""
    for name in names:
        count = of(name, using).count()
        Parked.objects.using(using).filter(replica=name).delete()
        if count:
            logger.warning("Replica %s: %s changes that were set aside are dropped: %s", name, count, why)


def keep(
    name: str, source: str, page: Page, versions: Sequence[int], *, error: str = "", passed: bool, using: str
) -> None:
    """Set changes of a page aside for a replica that follows `source`."""
    if versions:
        query = sql.template("queries/replica/park")
        given = {"replica": name, "source": source, "versions": list(versions), "error": error, "passed": passed}
        sql.run_bound(using, query, body=page.body, **given)
