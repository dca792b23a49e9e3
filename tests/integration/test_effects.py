"""Rules for every effect: it follows its source, once for each change, in the transaction that moves its position.

A new kind of effect is held to this by a case of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from django.db import connection, transaction
from django_tasks_db.models import DBTaskResult

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import cohorts, positions
from pubsubpull.replica.appliers.base import MOVED, Applied
from pubsubpull.replica.appliers.staged import StagedPages
from pubsubpull.replica.effects import Effect
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.parking import actions, store
from tests.integration import pulled
from tests.replicas import handled
from tests.replicas.models import Note, Spot
from tests.shop.models import Place

pytestmark = pytest.mark.django_db(transaction=True)
OWN = ("gone_at", "is_gone", "loud")
SPOTS = ("replicas_spot", "name <> 'bad'")
NOTES = ("replicas_note", "text NOT LIKE '%%bad'")
TASKS = (DBTaskResult._meta.db_table, "args_kwargs::text NOT LIKE '%%\"bad\"%%'")


@dataclasses.dataclass(frozen=True)
class Case:
    """The declaration of an effect, its actual results, and its expected results."""

    declare: object
    """Declares it; takes `on_failure`."""
    seen: object
    """Returns what the effect has made of the source, as `expected` does."""
    expected: object = lambda rows, _gone: rows
    """Returns what it should have made of the source's rows, and of the rows that it has no more: names by key."""
    refuses: tuple[str, str] = SPOTS
    """The table that it writes, and the check by which that refuses the name `bad`."""


def table(**options):
    own = {name: None for name in OWN if name != options.get("on_delete")}
    options["fields"] = {**own, **options.get("fields", {})}

    def declare(on_failure):
        pubsubpull.replicates("shop.place", service="shop", on_failure=on_failure, **options)(Spot)

    return declare


def handler(function, **options):
    def declare(on_failure):
        pubsubpull.on_change("shop.place", service="shop", on_failure=on_failure, **options)(function)

    return declare


def handler_of_a_table(on_failure):
    table()(on_failure)
    pubsubpull.on_change("shop.place", service="shop")(note)


def names(of=Spot):
    return dict(of.objects.values_list("id", "name"))


def marked():
    return {spot.id: (spot.name, bool(spot.gone_at or spot.is_gone)) for spot in Spot.objects.all()}


def louds():
    return {spot.id: (spot.name, spot.loud) for spot in Spot.objects.all()}


def told(changes):
    """Return the rows that come of changes."""
    rows = {}
    for op, key, name in changes:
        if op == "truncate":
            rows.clear()
        elif op == "delete":
            rows.pop(int(key))
        else:
            rows[int(key)] = name
    return rows


def noted():
    return told(text.split("|") for text in Note.objects.order_by("id").values_list("text", flat=True))


def enqueued():
    tasks = DBTaskResult.objects.order_by("enqueued_at")
    changes = [task.args_kwargs["kwargs"]["change"] for task in tasks]
    return told((change["op"], change["key"], (change["new"] or {}).get("name")) for change in changes)


def note(change):
    Note.objects.create(text=f"{change.op}|{change.key}|{(change.new or {}).get('name')}")


def note_all(changes):
    for change in changes:
        note(change)


def write(writes):
    for each in writes:
        if each.op == "put":
            Spot.objects.update_or_create(**each.key, defaults=each.values)
        else:
            Spot.objects.filter(**each.key).delete()


def with_marks(rows, gone):
    return {key: (name, False) for key, name in rows.items()} | {key: (name, True) for key, name in gone.items()}


CASES = {
    "table": Case(table(), names),
    "table of some rows": Case(
        table(where={"name": ["a", "bad"]}),
        names,
        lambda rows, _: {key: name for key, name in rows.items() if name in {"a", "bad"}},
    ),
    "table of rows that a function picks": Case(
        table(where=lambda row: row["name"] != "c"),
        names,
        lambda rows, _: {key: name for key, name in rows.items() if name != "c"},
    ),
    "table with a computed column": Case(
        table(fields={"loud": lambda row: row["name"].upper()}),
        louds,
        lambda rows, _: {key: (name, name.upper()) for key, name in rows.items()},
    ),
    "table with a constant": Case(
        table(fields={"loud": pubsubpull.constant("LOUD")}),
        louds,
        lambda rows, _: {key: (name, "LOUD") for key, name in rows.items()},
    ),
    "table that keeps": Case(table(on_delete="keep"), names, lambda rows, gone: gone | rows),
    "table that marks by a time": Case(table(on_delete="gone_at"), marked, with_marks),
    "table that a function writes": Case(table(write=write), names),
    "handler": Case(handler(note), noted, refuses=NOTES),
    "handler of pages": Case(handler(note_all, together=True), noted, refuses=NOTES),
    "handler of a table": Case(handler_of_a_table, noted, refuses=NOTES),
    "task": Case(handler(handled.heed, task=True), enqueued, refuses=TASKS),
}


class Declared:
    """An effect under test, with the source that it follows."""

    def __init__(self, case):
        self._case = case
        self._names = {}
        (self.member,) = cohorts.of_service("shop")

    @property
    def name(self):
        return self.member.name

    def add(self, name):
        place = Place.objects.create(name=name)
        self._names[place.pk] = name
        return place

    def rename(self, place, name):
        Place.objects.filter(pk=place.pk).update(name=name)
        self._names[place.pk] = name

    def is_right(self):
        rows = dict(Place.objects.values_list("id", "name"))
        gone = {key: name for key, name in self._names.items() if key not in rows}
        return self._case.seen() == self._case.expected(rows, gone)

    def seen(self):
        return self._case.seen()

    @contextlib.contextmanager
    def refusing(self):
        """Let the table that it writes refuse the name `bad`."""
        table, check = self._case.refuses
        with connection.cursor() as run:
            run.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_bad CHECK ({check.replace('%%', '%')})")
            try:
                yield
            finally:
                run.execute(f"ALTER TABLE {table} DROP CONSTRAINT no_bad")


@pytest.fixture(params=CASES)
def effect(request, only):
    """Declare an effect alone."""
    only()
    case, before = CASES[request.param], handlers.all_handlers()
    case.declare("park")
    yield Declared(case)
    for declared in handlers.all_handlers():
        if declared not in before:
            handlers.forget(declared.call)


def test_it_has_the_members_of_the_protocol(effect):
    cohort = cohorts.Cohort(service="shop", cursor="", members=(effect.member,))
    for each in cohort.effects:
        assert isinstance(each, Effect)
        assert (each.name, each.source, each.service) == (effect.name, "shop.place", "shop")
        assert each.reads() <= {"id", "name"}
        assert each.copies() or not each.plain(), "what PostgreSQL applies alone is a copy"


@pytest.mark.parametrize("sizes", [{}, {"page": 1}, {"small_page": 0}], indirect=True)
def test_it_follows_its_source_whichever_applier_takes_the_pages(effect, follower, outcomes):
    follower.run_once()
    first, second = effect.add("a"), effect.add("b")
    follower.run_once()
    assert effect.is_right()
    effect.rename(first, "c")
    effect.rename(first, "a")
    second.delete()
    effect.add("c")
    follower.run_once()
    assert effect.is_right()
    with connection.cursor() as run:
        run.execute("TRUNCATE shop_place CASCADE")
    effect.add("a")
    follower.run_once()
    assert effect.is_right()
    assert any(isinstance(outcome, Applied) for _, outcome in outcomes)


def test_it_has_each_page_once(effect, follower):
    follower.run_once()
    effect.add("a")
    cohort = pulled.cohort()
    page = pulled.page(cohort)
    assert pulled.applied(cohort, page)
    done = effect.seen()
    assert pulled.apply(cohort, page) is MOVED
    assert effect.seen() == done
    assert effect.is_right()


def test_its_writes_are_rolled_back_with_the_position(effect, follower):
    follower.run_once()
    effect.add("a")
    cohort = pulled.cohort()
    page = pulled.page(cohort)
    with transaction.atomic():
        assert isinstance(StagedPages().apply(cohort, page, using="default"), Applied)
        assert effect.is_right()
        transaction.set_rollback(True)
    assert effect.seen() == {}
    assert pulled.cohort() == cohort
    assert pulled.applied(cohort, page)
    assert effect.is_right()


def test_when_it_fails_nothing_is_left_of_the_page_and_it_goes_on_from_there(effect, follower):
    follower.run_once()
    effect.add("a")
    follower.run_once()
    before = effect.seen()
    with effect.refusing():
        effect.add("b")
        effect.add("bad")
        cohort = pulled.cohort()
        page = pulled.page(cohort)
        with pytest.raises(exceptions.ReplicaFailed) as caught:
            pulled.apply(cohort, page)
        assert caught.value.name == effect.name
        assert effect.seen() == before
        assert pulled.cohort().cursor == cohort.cursor
    assert pulled.applied(cohort, page)
    assert effect.is_right()


def test_it_parks_the_key_that_fails_and_takes_the_others(effect, follower, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SET_ASIDE_AFTER": 1}
    follower.run_once()
    first = effect.add("a")
    follower.run_once()
    with effect.refusing():
        effect.rename(first, "bad")
        effect.add("b")
        other = effect.add("a")
        for _ in range(2):
            positions.hurry("shop", "default")
            with contextlib.suppress(exceptions.ReplicaFailed):
                follower.run_once()
        assert [change.key for change in store.of(effect.name, "default")] == [str(first.pk)]
        assert other.pk in effect.seen()
    assert actions.retry(effect.name, using="default") == []
    assert effect.is_right()
