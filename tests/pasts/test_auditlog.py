"""The past of django-auditlog, whose entries have only the changed values, as texts."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from auditlog.context import set_actor
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.test import override_settings

import pubsubpull
from tests.pasts.conftest import command, run, uncaptured
from tests.pasts.models import Group, Logged, Shelf

pytestmark = pytest.mark.django_db(transaction=True)

DUE = dt.datetime(2024, 5, 6, 7, 8, 9, 123000, dt.UTC)


@pytest.fixture
def ann():
    return User.objects.create_user("ann")


def write(**values):
    """Write an object of every kind of column."""
    given = {"name": "one", "amount": "1.50", "due": DUE, "day": "2024-02-29", "data": {"a": [1, "x"]}, "secret": "s"}
    return Logged.objects.create(**given | {"group": Group.objects.create(name="g"), "card": "1234"} | values)


def change(one, **values):
    for name, value in values.items():
        setattr(one, name, value)
    one.save()


def test_whole_rows_are_rebuilt_with_times_and_users(ann):
    with uncaptured(Logged), set_actor(ann, remote_addr="10.0.0.7"):
        one = write()
        change(one, name="uno", good=False, group=None)
        change(one, count=7, due=None, data={"b": None})
    said = command("import", "auditlog")
    assert "pasts.logged: 3 changes are imported." in said
    assert "The other package does not have these columns: card" in said
    last, middle, first = pubsubpull.history(one)
    assert middle.changed == {
        "name": ("one", "uno"),
        "good": (True, False),
        "group_id": (first.new["group_id"], None),
    }
    assert last.changed == {
        "The Count": (0, 7),
        "due": ("2024-05-06T07:08:09.123+00:00", None),
        "data": ({"a": [1, "x"]}, {"b": None}),
    }
    assert (first.op, first.old, str(first.new["amount"]), first.new["day"]) == ("insert", None, "1.50", "2024-02-29")
    assert (first.user, first.request["ip"], first.request["source"]) == ("ann", "10.0.0.7", "auditlog")
    assert [entry.at for entry in (first, middle, last)] == list(
        LogEntry.objects.order_by("timestamp").values_list("timestamp", flat=True)
    )
    assert len(pubsubpull.history(user=ann)) == 3


def test_rebuilt_rows_are_as_captured_ones():
    """Captured changes of the same row have the same values, except those that the entries lack."""
    with uncaptured(Logged):
        one = write()
        change(one, name="uno")
    command("import", "auditlog")
    imported = pubsubpull.history(one)[0].new
    change(one, name="captured")
    captured = pubsubpull.history(one)[0].old
    assert imported == {name: value for name, value in captured.items() if name != "card"}


def test_rebuilding_starts_from_the_rows_before_capture_began():
    with uncaptured(Logged):
        one = write(count=1)
        Logged.objects.update(count=2)  # without an entry
        one.refresh_from_db()
        change(one, name="uno")
    change(one, count=3)
    command("import", "auditlog")
    captured, second, first = pubsubpull.history(one)
    assert captured.changed == {"The Count": (2, 3)}
    assert (second.new["The Count"], second.changed) == (2, {"name": ("one", "uno")})
    assert first.new["The Count"] == 1


def test_objects_that_are_gone_have_their_past_too():
    with uncaptured(Logged):
        one, other = write(), write()
        key, lost = one.pk, other.pk
        change(one, name="uno")
        one.delete()
        change(other, name="dos")
        Logged.objects.filter(pk=lost)._raw_delete("default")  # without an entry
    command("import", "auditlog")
    deleted, updated, inserted = pubsubpull.history(Logged, key)
    assert (deleted.op, deleted.old, deleted.new) == ("delete", updated.new, None)
    assert updated.old == inserted.new
    updated, inserted = pubsubpull.history(Logged, lost)
    assert updated.new == inserted.new | {"name": "dos"}


def test_objects_with_composite_keys_have_their_past():
    with uncaptured(Shelf):
        one = Shelf.objects.create(place='it\'s, "here"', number=-1)
        change(one, amount=2)
        other = Shelf.objects.create(place="there", number=1, code=one.code)
        key = other.pk
        other.delete()
        moved = Shelf.objects.create(place="x", number=2)
    change(one, amount=3)
    said = command("import", "auditlog", "pasts.shelf")
    assert "5 changes are imported" in said
    captured, updated, inserted = pubsubpull.history(one)
    assert captured.old == updated.new
    assert (updated.changed, inserted.new["amount"], inserted.new["code"]) == ({"amount": (0, 2)}, 0, str(one.code))
    assert [entry.op for entry in pubsubpull.history(Shelf, key)] == ["delete", "insert"]
    assert pubsubpull.history(moved)[0].new == {"place": "x", "number": 2, "code": str(moved.code), "amount": 0}
    assert "0 changes are imported" in command("import", "auditlog", "pasts.shelf")


def test_a_composite_key_that_cannot_be_read_is_told_of():
    with uncaptured(Shelf):
        Shelf.objects.create(place="a", number=1)
    LogEntry.objects.update(object_pk="('a', dat")
    said = command("import", "auditlog", "pasts.shelf")
    assert "0 changes are imported" in said
    assert "1 objects are left out: their keys cannot be read" in said


@pytest.mark.parametrize("package", ["simple-history", "pghistory"])
def test_a_package_without_composite_keys_is_reported(package):
    assert "pasts.shelf has a composite primary key" in command("import", package, "pasts.shelf")


def test_one_correlation_id_is_one_request():
    with uncaptured(Logged):
        for name in "ab":
            write(name=name)
        LogEntry.objects.update(cid="abc")
    command("import", "auditlog")
    one, other = pubsubpull.history()
    assert one.request_id == other.request_id
    assert one.request["correlation_id"] == "abc"
    assert len(pubsubpull.history(request=one.request_id)) == 2


def test_values_that_no_longer_fit_their_column_are_left_out_and_looks_are_no_changes():
    with uncaptured(Logged):
        one = write()
        change(one, count=7)
        entry = LogEntry.objects.latest("pk")
        entry.changes = {"count": ["many", "7"], "gone": ["1", "2"], "tags": {"type": "m2m", "objects": ["x"]}}
        entry.save()
        LogEntry.objects.log_create(one, action=LogEntry.Action.ACCESS, changes={})
    assert "2 changes are imported" in command("import", "auditlog")
    assert pubsubpull.history(one)[0].changed == {"The Count": (None, 7)}


def test_entries_from_before_their_changes_were_json_are_read():
    with uncaptured(Logged):
        one = write()
        change(one, name="uno")
        for entry in LogEntry.objects.all():
            entry.changes_text, entry.changes = json.dumps(entry.changes), None
            entry.save()
    command("import", "auditlog")
    assert pubsubpull.history(one)[0].changed == {"name": ("one", "uno")}


@override_settings(AUDITLOG_STORE_JSON_CHANGES=True)
def test_changes_that_are_kept_as_json_are_read():
    with uncaptured(Logged):
        one = write()
        change(one, count=7, data={"b": [1]}, group=None, good=False)
    command("import", "auditlog")
    assert pubsubpull.history(one)[0].changed == {
        "The Count": (0, 7),
        "data": ({"a": [1, "x"]}, {"b": [1]}),
        "good": (True, False),
        "group_id": (pubsubpull.history(one)[1].new["group_id"], None),
    }


def test_a_second_import_brings_nothing_even_when_the_object_has_changed_since():
    with uncaptured(Logged):
        one = write()
        change(one, name="uno")
    command("import", "auditlog")
    change(one, name="captured")
    said = command("import", "auditlog")
    assert "0 changes are imported" in said
    assert "2 are in the log already" in said
    assert run("SELECT count(*) FROM pubsubpull_change WHERE id < 0") == [(2,)]
