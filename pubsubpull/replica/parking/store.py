"""The changes that replicas have set aside: by key, with all that follow for the key, until a person decides."""

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


def hold(cohort: Cohort, pages: Iterable[Page], *, using: str) -> list[int]:
    """Set aside the changes, in pages about to be applied, of keys that have some set aside; return their versions.

    A truncate removes the rows of all keys: with it, nothing stays set aside.
    """
    if not cohort.apart:
        return []
    (effect,) = cohort.members
    held: list[int] = []
    for page in pages:
        keys = set(of(effect.name, using).values_list("key", flat=True))
        done = Parked.objects.using(using).filter(replica=effect.name, done=True)
        items = [item for item in jsontext.loads(page.body)["items"] if item["model"] == effect.source]
        if keys and any(item["op"] == "truncate" for item in items):
            forget([effect.name], using, why="its table was truncated at the source")
            return held
        left = set(done.values_list("version", flat=True)) & {item["version"] for item in items}
        behind = [item["version"] for item in items if item["key"] in keys and item["version"] not in left]
        done.filter(version__in=left).delete()
        keep(effect.name, effect.source, page, behind, passed=True, using=using)
        held += [*left, *behind]
    return held


def finish(name: str, using: str, *, key: str | None = None, upto: int | None = None) -> int:
    """Forget what has been applied or dropped, of one key or all; return how many changes that were.

    Changes that the replica has not passed yet are kept, to be left out when it does.
    """
    finished = of(name, using)
    finished = finished if key is None else finished.filter(key=key)
    finished = finished if upto is None else finished.filter(version__lte=upto)
    marked = finished.filter(passed=False).update(done=True)
    gone, _ = finished.filter(passed=True).delete()
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
