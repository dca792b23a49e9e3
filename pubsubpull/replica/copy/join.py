"""Apply a whole copy once: in the same transaction, its replicas join the cohorts that follow already."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from pubsubpull import exceptions
from pubsubpull.capture import clock
from pubsubpull.replica import catch_up, cohorts, pages, positions
from pubsubpull.replica.copy import apply
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.models import Copy, CopyPage

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.sizes import Sizes


def apply_copy(number: uuid.UUID, cohort: Cohort, client: Client, sizes: Sizes, using: str) -> None:
    """Apply a whole copy once; if that fails, delete the copy.

    Raises `ReplicaFailed`, and `Copy.DoesNotExist` if another process has applied the copy.
    """
    try:
        _join(number, cohort, client, sizes, using)
    except exceptions.ReplicaFailed as error:
        if error.name not in {effect.name for effect in cohort.members}:
            raise  # The failure is that of a cohort to join: the next attempt goes without it.
        # Fetch all rows anew: the failing row may have been corrected at the source by now.
        Copy.objects.using(using).filter(pk=number).delete()
        raise


def _join(number: uuid.UUID, cohort: Cohort, client: Client, sizes: Sizes, using: str) -> None:
    """Apply a whole copy; in the same transaction, its replicas join the cohorts that follow already."""
    first = functools.partial(_apply_whole, number, cohort, using)
    pull = functools.partial(pages.changes, client, limit=sizes.page)
    copied = [effect.name for effect in cohort.members]
    while True:
        record = Copy.objects.using(using).get(pk=number)
        following = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_join(copied)
        if not following:
            _apply_alone(cohort, first, using)
            return
        others = [catch_up.Laggard(cohort=late, start=late.cursor) for late in following[1:]]
        own = catch_up.Laggard(cohort=cohort, start=record.cursor, first=first)
        with catch_up.gather(following[0], [*others, own], pull) as gathered:
            if catch_up.catch_up_together(gathered, using=using):
                return
        wanted = cohorts.snapshot(cohort.service, using, clock.moment(using)).to_copy()
        if wanted is None or wanted.cursor != cohort.cursor:
            return  # The replicas must be copied from another cursor now: this copy is of no use.


def _apply_alone(cohort: Cohort, first: Callable[[], object], using: str) -> None:
    try:
        with transaction.atomic(using):
            positions.lock(cohort.service, using)  # First, as in all transactions that apply: no deadlock.
            first()
    except IntegrityError as error:
        raise constraint_errors.failure(cohort.members, error, using=using) from error


def _apply_whole(number: uuid.UUID, cohort: Cohort, using: str) -> None:
    # Locked: if two processes fetched the same copy, the second waits here, and then finds no record.
    record = Copy.objects.using(using).select_for_update().get(pk=number)
    apply.apply_all(record, cohort, using)
    CopyPage.objects.using(using).filter(copy=record).delete()
    record.delete(using=using)
