"""Rows that the source has no more: deleted, kept or marked; and rows that a function writes."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import cohorts, declaration, positions, services
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.compare import judge
from pubsubpull.replica.models import Parked
from pubsubpull.replica.parking import actions
from pubsubpull.replica.tables.writing import Write
from tests import processes
from tests.replicas.models import Note, Spot
from tests.shop.models import Place

pytestmark = pytest.mark.django_db(transaction=True)
MARKED = [{"on_delete": "gone_at", "fields": {"is_gone": None}}, {"on_delete": "is_gone", "fields": {"gone_at": None}}]
MINE = {"gone_at": None, "is_gone": None, "loud": None}
KEPT = {"on_delete": "keep", "fields": MINE}


@pytest.fixture
def declare():
    """Declare Spot as a replica of Place, which is forgotten after the test."""

    def make(**options):
        options["fields"] = {"loud": None, **options.get("fields", {})}
        return pubsubpull.replicates("shop.place", service="shop", **options)(Spot)

    yield make
    declaration.forget(Spot)


def there(**options):
    rows = Spot.objects.order_by("id")
    return {row.name: bool(row.gone_at or row.is_gone) for row in rows.filter(**options)}


def names():
    return list(Spot.objects.order_by("name").values_list("name", flat=True))


def compared(**options):
    with services.get("shop").client() as client:
        result = judge.compare(declaration.get(Spot), client, using="default", pause=lambda _: None, **options)
    return sorted((one.kind, one.key) for one in result.differences)


def remove(way, name):
    if way == "delete":
        Place.objects.filter(name=name).delete()
    elif way == "truncate":
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE shop_place CASCADE")
    elif way == "where":
        Place.objects.filter(name=name).update(name=f"not {name}")


@pytest.mark.parametrize("sizes", [{"page": 1}], indirect=True)
@pytest.mark.parametrize("options", [*MARKED, KEPT])
def test_so_it_is_in_a_backlog_that_is_applied_in_one_go(follower, outcomes, only, declare, options):
    only()
    declare(**options)
    Place.objects.bulk_create([Place(name=name) for name in "ab"])
    follower.run_once()
    remove("delete", "a")
    Place.objects.update(name="c")
    Place.objects.create(name="d")
    follower.run_once()
    assert any(name == "compact" and isinstance(outcome, Applied) for name, outcome in outcomes)
    assert there() == {"a": options is not KEPT, "c": False, "d": False}
    assert compared() == []


@pytest.mark.parametrize("options", [*MARKED, KEPT])
@pytest.mark.parametrize("way", ["delete", "truncate", "where"])
def test_a_row_that_goes_is_marked_or_kept_and_comes_back_as_it_is_then(follower, declare, options, way):
    where = {"where": {"name": ["a", "b", "again"]}} if way == "where" else {}
    declare(**options, **where)
    Place.objects.bulk_create([Place(name="a"), Place(name="b")])
    follower.run_once()
    assert there() == {"a": False, "b": False}
    gone = Place.objects.get(name="a")
    if way == "truncate":
        Place.objects.filter(name="b").delete()
    remove(way, "a")
    follower.run_once()
    marks = options is not KEPT
    assert there() == {"a": marks, "b": marks and way == "truncate"}
    assert compared() == []
    Place.objects.filter(pk=gone.pk).delete()
    Place.objects.create(pk=gone.pk, name="again")
    follower.run_once()
    assert there() == {"again": False, "b": marks and way == "truncate"}
    assert compared() == []


@pytest.mark.parametrize("options", [*MARKED, KEPT])
def test_a_row_deleted_without_a_change_is_found_by_copying_and_comparing(follower, declare, options):
    declare(**options)
    Place.objects.bulk_create([Place(name=name) for name in "abc"])
    follower.run_once()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM shop_place WHERE name IN ('a', 'b')")
        cursor.execute("RESET session_replication_role")
    marks = options is not KEPT
    assert len(compared()) == (2 if marks else 0)
    if marks:
        assert [kind for kind, _ in compared(repair=True)] == ["extra", "extra"]
        assert there() == {"a": True, "b": True, "c": False}
    positions.copy_again([declaration.get(Spot)], "default")
    follower.run_once()
    assert there() == {"a": marks, "b": marks, "c": False}
    assert compared() == []


def test_the_time_of_the_mark_is_that_of_the_first_time_it_was_seen_gone(follower, declare):
    declare(**MARKED[0])
    Place.objects.create(name="a")
    follower.run_once()
    before = timezone.now()
    remove("delete", "a")
    follower.run_once()
    marked = Spot.objects.get().gone_at
    assert before - timedelta(seconds=1) < marked < timezone.now() + timedelta(seconds=1)
    positions.copy_again([declaration.get(Spot)], "default")
    follower.run_once()
    assert Spot.objects.get().gone_at == marked


def test_a_row_that_is_marked_here_alone_differs_and_is_repaired(follower, declare):
    declare(**MARKED[1])
    Place.objects.create(name="a")
    follower.run_once()
    Spot.objects.update(is_gone=True)
    assert [kind for kind, _ in compared(repair=True)] in (["missing"], ["different"])
    assert there() == {"a": False}


def test_to_declare_it_otherwise_has_all_rows_copied_again(follower, declare):
    declare(**KEPT)
    Place.objects.bulk_create([Place(name=name) for name in "ab"])
    follower.run_once()
    remove("delete", "a")
    follower.run_once()
    assert names() == ["a", "b"]
    declare(fields=MINE)
    follower.run_once()
    assert names() == ["b"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"on_delete": "name"}, 'on_delete is "delete", "keep", or the name of a field .* not \'name\''),
        ({"on_delete": "nothing"}, "not 'nothing'"),
        ({"on_delete": None}, "not None"),
        (
            {"on_delete": "is_gone", "fields": {"is_gone": "seats"}},
            "is_gone marks deleted rows, so `fields` cannot fill it",
        ),
        ({"write": "function"}, "write must be a function"),
        ({"write": print, "on_delete": "keep"}, "excludes on_delete"),
    ],
)
def test_an_impossible_declaration_is_refused(declare, options, said):
    with pytest.raises(exceptions.ReplicaError, match=said):
        declare(**options)
    assert declaration.get(Spot) is None


@pytest.fixture
def written(declare):
    """Let a function write Spot. It records its arguments, fails for a name, and keeps deleted rows."""
    came, wrong = [], set()

    def write(writes):
        came.append(list(writes))
        for one in writes:
            if one.op == "put":
                Note.objects.create(text=one.values["name"])
                if one.values["name"] in wrong:
                    raise ValueError("not this one")
                Spot.objects.update_or_create(**one.key, defaults=one.values)
            elif one.op == "delete":
                Spot.objects.filter(**one.key).update(is_gone=True)
            else:
                Spot.objects.update(is_gone=True)

    fields = {**MINE, "loud": lambda row: [row["name"].upper()]}
    declare(write=write, fields=fields, on_failure="park")
    return came, wrong


def plain(came):
    return [[(one.op, one.values.get("name"), one.values.get("loud")) for one in writes] for writes in came]


def test_a_function_writes_the_rows_of_a_copy_and_of_changes(follower, written):
    came, _ = written
    first = Place.objects.create(name="a")
    follower.run_once()
    assert plain(came) == [[("put", "a", ["A"])]]
    assert came[0][0].key == {"id": first.pk}
    assert (Spot.objects.get().loud, came[0][0].version > 0) == (["A"], True)
    came.clear()
    Place.objects.update(name="b")
    Place.objects.update(name="c")
    follower.run_once()
    assert plain(came) == [[("put", "c", ["C"])]], "of each row the last change of the page"
    came.clear()
    first.delete()
    follower.run_once()
    assert came == [[Write(op="delete", version=came[0][0].version, key={"id": came[0][0].key["id"]}, values={})]]
    assert there() == {"c": True}
    came.clear()
    remove("truncate", "")
    Place.objects.create(name="d")
    follower.run_once()
    assert [one for one, _, _ in plain(came)[0] + plain(came)[1]] == ["truncate", "put"]
    assert there() == {"c": True, "d": False}


def test_rows_missing_in_a_copy_are_passed_on_as_deleted(follower, written):
    came, _ = written
    Place.objects.bulk_create([Place(name=name) for name in "ab"])
    follower.run_once()
    gone = Place.objects.get(name="a").pk
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM shop_place WHERE name = 'a'")
        cursor.execute("RESET session_replication_role")
    came.clear()
    positions.copy_again([declaration.get(Spot)], "default")
    follower.run_once()
    assert came[0] == [Write(op="delete", version=0, key={"id": gone}, values={})]
    assert there() == {"a": True, "b": False}


def test_its_error_rolls_the_page_back_and_parks_the_change(follower, written, settings):
    _, wrong = written
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SET_ASIDE_AFTER": 2}
    follower.run_once()
    wrong.add("b")
    Place.objects.bulk_create([Place(name=name) for name in "abc"])
    with pytest.raises(exceptions.ReplicaFailed, match=r"write failed on version \d+ to \d+: ValueError: not this one"):
        follower.run_once()
    assert (Spot.objects.count(), Note.objects.count()) == (0, 0)
    processes.until(lambda: not cohorts.snapshot("shop", "default", timezone.now()).next_attempt())
    follower.run_once()
    assert Parked.objects.get().item["new"]["name"] == "b"
    assert there() == {"a": False, "c": False}
    wrong.clear()
    assert actions.retry(declaration.get(Spot).name, using="default") == []
    assert there() == {"a": False, "b": False, "c": False}


def test_it_cannot_be_compared_and_the_command_says_so(follower, written):
    follower.run_once()
    with pytest.raises(CommandError, match=r"replicas\.spot is written by .*write, .* cannot be compared"):
        call_command("pubsubpull_compare", "replicas.spot")
    out = io.StringIO()
    call_command("pubsubpull_compare", stdout=out)
    assert "replicas.spot: not compared, as its rows are written by" in out.getvalue()
    assert "replicas.stock: 0 rows, equal" in out.getvalue()
