"""Pages of the shop, pulled and applied by hand."""

from __future__ import annotations

import dataclasses

from django.utils import timezone

from pubsubpull.replica import cohorts, services
from pubsubpull.replica.appliers import choose
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.prefetch import Puller


def cohort():
    """Return the only cohort of the shop."""
    (found,) = cohorts.following("shop", "default", timezone.now())
    return found


def cohort_of(*names):
    """Return a cohort of some replicas, as if they were there alone."""
    everyone = cohort()
    return dataclasses.replace(everyone, members=tuple(each for each in everyone.members if each.name in names))


def page(of=None, **options):
    """Return the page after a cohort's cursor."""
    of = of or cohort()
    with services.get("shop").client() as client:
        return Puller(client=client, sources=tuple(of.sources)).whole(of.cursor, **options)


def apply(to, given, **options):
    """Apply a page as a follower does; return its outcome."""
    return choose.apply_page(to, given, using="default", **options)


def applied(to, given, **options):
    """Apply a page; return True if it was."""
    return isinstance(apply(to, given, **options), Applied)
