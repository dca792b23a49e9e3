"""Find and park the change on which a replica fails; retry or drop parked changes."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from pubsubpull import conf, exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, pages, positions, staging
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.handlers import own_log
from pubsubpull.replica.models import Parked, ReplicaState
from pubsubpull.replica.parking import store
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pubsubpull.pull.client import Client
    from pubsubpull.replica.cohorts import Cohort
    from pubsubpull.replica.effects import Effect

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Culprit:
    """The change on which a replica fails."""

    replica: str
    """The replica's name."""
    key: str
    """The key of the row."""
    version: int
    """The version of the change."""
    error: str
    """The reason of the failure."""


def is_due(error: exceptions.ReplicaFailed, using: str) -> bool:
    """Return True if a replica declared with `on_failure="park"` has failed often enough to park a change."""
    if error.needs is not None or constraint_errors.lacks_row(error):
        return False  # The missing row will come: another replica has yet to apply it.
    effect = next((known for known in cohorts.all_effects() if known.name == error.name), None)
    state = ReplicaState.objects.using(using).filter(name=error.name).first()
    return (
        effect is not None
        and state is not None
        and effect.on_failure == "park"
        and not isinstance(error.__cause__, exceptions.RetryAfter)
        and (state.attempts >= conf.get().SET_ASIDE_AFTER or isinstance(error.__cause__, exceptions.Refused))
    )


def park(name: str, client: Client | None, *, sizes: Sizes = STANDARD_SIZES, using: str) -> Culprit | None:
    """Set aside the change that a replica cannot take, so that it goes on; return None if it can take all of its page.

    Its page is tried change by change, in transactions that are taken back: handlers are called more than once. For a
    handler of this service's own log there is no `client`. Raises `ReplicaError` if as many changes are set aside as
    may be, or if the replica waits for another one.
    """
    cohort = _alone(name, using)
    page = _page(cohort, client, sizes, using)
    culprit = _culprit(cohort, page, using)
    if culprit is None:
        ReplicaState.objects.using(using).filter(name=name).update(next_attempt=None)
        return None
    limit = conf.get().SET_ASIDE_LIMIT
    if store.of(name, using).count() >= limit:
        raise exceptions.ReplicaError(
            f"{name}: {limit} changes are set aside already, which is the limit: retry or drop them first."
        )
    with transaction.atomic(using):
        if not cohorts.is_current(cohort, positions.lock_own(cohort.members[0].name, cohort.service, using)):
            return None  # Another process has moved the replica on: its change is no longer the next one.
        store.keep(name, cohort.sources[0], page, [culprit.version], error=culprit.error, passed=False, using=using)
        ReplicaState.objects.using(using).filter(name=name).update(
            state=ReplicaState.State.FOLLOWING, attempts=0, failing_since=None, next_attempt=None, last_error=""
        )
    logger.warning("Replica %s: version %s of %s is set aside: %s", name, culprit.version, culprit.key, culprit.error)
    return culprit


def retry(name: str, *, key: str | None = None, using: str) -> list[Culprit]:
    """Apply the parked changes of a replica, or of one key, each key's in order; return the changes that still fail."""
    # A transaction for each key: a key that still fails must not hold back the others.
    keys = list(dict.fromkeys(store.of(name, using).values_list("key", flat=True))) if key is None else [key]
    return [culprit for each in keys if (culprit := _retry(name, each, using))]


def drop(name: str, *, key: str | None = None, using: str) -> int:
    """Drop the parked changes of a replica, or of one key, for good; return their number.

    The next change of a dropped key is applied again.
    """
    with transaction.atomic(using):
        positions.lock_own(name, _state(name, using).service, using)
        count = store.finish(name, using, key=key)
    if count:
        logger.warning("Replica %s: %s changes that were set aside are dropped by a person", name, count)
    return count


def _retry(name: str, key: str, using: str) -> Culprit | None:
    effect = _effect(name)
    try:
        with transaction.atomic(using):
            locked = positions.lock_own(name, _state(name, using).service, using)
            query = sql.template("queries/replica/parked_page")
            ((body, last),) = sql.run_bound(using, query, replica=name, key=key)
            if last is None:
                return None  # Another process has retried or dropped them meanwhile.
            page = pages.Page(body=body, previous="", cursor="", more=False)
            cohort = cohorts.Cohort(service=effect.service, cursor="", members=(effect,))
            staging.begin(using)
            staging.stage_and_apply([page], cohort.effects, locked, one_by_one=True, using=using)
            # Check deferred constraints now: at the commit, the error could not be given to this key any more.
            sql.run(using, sql.template("queries/replica/check_now"))
            store.finish(name, using, key=key, upto=last)
    except (exceptions.ReplicaFailed, IntegrityError) as error:
        reason = error.reason if isinstance(error, exceptions.ReplicaFailed) else str(error).splitlines()[0]
        first = store.of(name, using).filter(key=key).first()
        version = first.version if first else 0
        store.of(name, using).filter(version=version).update(error=reason[:1000])
        return Culprit(replica=name, key=key, version=version, error=reason)
    return None


def _culprit(cohort: Cohort, page: pages.Page, using: str) -> Culprit | None:
    """Return the first change that fails for the same reason as its page; None if the page does not fail."""
    (effect,) = cohort.members
    aside = Parked.objects.using(using).filter(replica=effect.name)
    keys = set(aside.filter(done=False).values_list("key", flat=True))
    done = set(aside.filter(done=True).values_list("version", flat=True))
    items = [item for item in jsontext.loads(page.body)["items"] if item["model"] == effect.source]
    held = [item["version"] for item in items if item["key"] in keys or item["version"] in done]
    items = [item for item in items if item["version"] not in held]
    whole = _fails(cohort, page, held, using)
    if whole is None:
        return None
    if isinstance(whole, staging.Unreadable):
        raise exceptions.ReplicaError(
            f"{effect.name}: {whole.reason}. A change that PostgreSQL cannot read cannot be set aside."
        )
    # Bisect: the first `good` changes apply without that failure, the first `bad` changes fail.
    good, bad = 0, len(items)
    while bad - good > 1:
        middle = (good + bad) // 2
        left_out = [*held, *(item["version"] for item in items[middle:])]
        tried = _fails(cohort, page, left_out, using)
        if tried is not None and _kind(tried) == _kind(whole):
            bad = middle
        else:
            good = middle
    item = items[bad - 1]
    if whole.needs is not None or item["key"] is None:
        raise exceptions.ReplicaError(f"{effect.name}: {whole.reason}. Only a change of a single key can be set aside.")
    return Culprit(replica=effect.name, key=item["key"], version=item["version"], error=whole.reason[:1000])


def _fails(cohort: Cohort, page: pages.Page, left_out: Sequence[int], using: str) -> exceptions.ReplicaFailed | None:
    """Apply a page without the versions `left_out`, and roll back; return the failure, or None."""
    try:
        with transaction.atomic(using):
            locked = positions.lock_own(cohort.members[0].name, cohort.service, using)
            staging.begin(using)
            staging.stage_and_apply([page], cohort.effects, locked, one_by_one=True, left_out=left_out, using=using)
            sql.run(using, sql.template("queries/replica/check_now"))  # A rollback checks no deferred constraint.
            transaction.set_rollback(True, using)
    except exceptions.ReplicaFailed as error:
        return error
    except IntegrityError as error:
        failed = constraint_errors.failure(cohort.members, error, using=using)
        failed.__cause__ = error
        return failed
    return None


def _kind(error: exceptions.ReplicaFailed) -> tuple[Any, ...]:
    # The kind, not the text: texts name rows, and leaving out changes may only bring another row to the fore.
    cause = getattr(error.__cause__, "__cause__", None)
    return type(error.__cause__), getattr(cause, "sqlstate", None)


def _page(cohort: Cohort, client: Client | None, sizes: Sizes, using: str) -> pages.Page:
    """Return the page that comes next: from the service that the client is of, or without one from the own log."""
    if client is None:
        return own_log.page(cohort.sources, cohort.cursor, limit=sizes.page or own_log.PAGE, using=using)
    return pages.changes(client, cohort.sources, cohort.cursor, limit=sizes.page)


def _alone(name: str, using: str) -> Cohort:
    state, effect = _state(name, using), _effect(name)
    if not state.shape:
        raise exceptions.ReplicaError(f"{name} has not been copied yet: there is no change to set aside.")
    apart = Parked.objects.using(using).filter(replica=name).exists()
    return cohorts.Cohort(service=state.service, cursor=state.cursor, members=(effect,), apart=apart)


def _state(name: str, using: str) -> ReplicaState:
    state = ReplicaState.objects.using(using).filter(name=name).first()
    if state is None:
        known = ", ".join(ReplicaState.objects.using(using).values_list("name", flat=True))
        raise exceptions.ReplicaError(f"{name} is not followed. Followed are: {known or 'none'}.")
    return state


def _effect(name: str) -> Effect:
    effect = next((known for known in cohorts.all_effects() if known.name == name), None)
    if effect is None:
        raise exceptions.ReplicaError(f"{name} is not declared, or no longer.")
    return effect
