"""The past of django-simple-history."""

from __future__ import annotations

import datetime as dt
import decimal

import pytest
from django.contrib.auth.models import User

import pubsubpull
from tests.pasts.conftest import command, uncaptured
from tests.pasts.models import Bar, Group, Kept, Odd, Venue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann():
    return User.objects.create_user("ann")


@pytest.fixture
def past(ann):
    """Two objects, one of them deleted, in three versions."""
    with uncaptured(Kept):
        one = Kept(name="one", group=Group.objects.create(name="g"), amount="1.50", data={"a": [1, "x"]}, secret="s")
        one._history_user = ann
        one.card = "1234"
        one.due = dt.datetime(2024, 5, 6, 7, 8, 9, 123000, dt.UTC)
        one.save()
        one.name, one.count, one._change_reason = "uno", 7, "translated"
        one.save()
        one.secret = "t"
        one.save()
        gone = Kept.objects.create(name="gone")
        key = gone.pk
        gone.delete()
    return one, key


def test_the_whole_past_is_there_with_times_values_and_users(past, ann):
    one, gone = past
    said = command("import", "simple-history")
    assert "pasts.kept: 4 changes are imported." in said
    assert "1 changed nothing that the log would have" in said
    latest, first = pubsubpull.history(one)
    records = list(one.history.order_by("history_date"))
    assert [entry.at for entry in (first, latest)] == [record.history_date for record in records[:2]]
    assert (first.op, first.old, first.user) == ("insert", None, "ann")
    assert latest.changed == {"name": ("one", "uno"), "The Count": (0, 7)}
    assert latest.request["metadata"] == {"history_id": records[1].history_id, "reason": "translated"}
    assert latest.request["source"] == "simple-history"
    assert (first.new["card"], "secret" in first.new) == ("***", False)
    assert [entry.op for entry in pubsubpull.history(Kept, gone)] == ["delete", "insert"]
    assert [entry.model for entry in pubsubpull.history(user=ann)] == ["pasts.kept"] * 2


def test_imported_rows_are_as_captured_ones(past):
    """Captured changes of the same row have the same values."""
    one, _ = past
    command("import", "simple-history")
    imported = pubsubpull.history(one)[0].new
    one.name = "captured"
    one.save()
    entry = pubsubpull.history(one)[0]
    assert entry.old == imported
    assert entry.changed == {"name": ("uno", "captured")}
    assert entry.new["amount"] == decimal.Decimal("1.50")


def test_a_second_import_brings_nothing(past):
    command("import", "simple-history")
    before = [entry.version for entry in pubsubpull.history()]
    said = command("import", "simple-history")
    assert "0 changes are imported" in said
    assert "4 are in the log already" in said
    assert [entry.version for entry in pubsubpull.history()] == before


def test_a_child_and_its_parent_have_each_their_own_past():
    with uncaptured(Venue, Bar):
        bar = Bar.objects.create(name="one", stools=1)
        bar.stools = 2
        bar.save()
    assert "pasts.bar: 2 changes are imported." in command("import", "simple-history", "pasts.bar", "pasts.venue")
    updated, inserted = pubsubpull.history(Bar, bar.pk)
    assert inserted.new == {"venue_ptr_id": bar.pk, "stools": 1}
    assert updated.changed == {"stools": (1, 2)}


def test_customised_histories_are_read_and_their_missing_fields_reported():
    with uncaptured(Odd):
        one = Odd.objects.create(name="one", note="n")
        one.groups.add(Group.objects.create(name="g"))
        one.name, one._history_user = "uno", User.objects.create_user("ann")
        one.save()
    said = command("import", "simple-history", "pasts.odd")
    assert "The other package does not have these columns: note." in said
    assert "many-to-many fields are left out" in said
    latest, first = pubsubpull.history(one)
    assert first.new == {"id": str(one.pk), "name": "one"}
    assert (latest.changed, latest.user) == ({"name": ("one", "uno")}, "ann")
    # What the history does not know stays as it is.
    pubsubpull.restore(one, first.version)
    one.refresh_from_db()
    assert (one.name, one.note) == ("one", "n")


def test_an_update_that_nothing_is_known_before_says_so():
    with uncaptured(Kept):
        one = Kept.objects.create(name="one")
        one.history.all().delete()
        one.save()
    command("import", "simple-history")
    (entry,) = pubsubpull.history(one)
    assert (entry.op, entry.old) == ("update", {})
