"""The past of django-pghistory, whose triggers keep rows."""

from __future__ import annotations

import uuid

import pghistory
import pytest
from django.contrib.auth.models import User
from django.db import transaction

import pubsubpull
from tests.pasts.conftest import command, run, uncaptured
from tests.pasts.models import Alone, Before, Inline, Tracked

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_whole_past_is_there_with_times_values_and_contexts():
    ann = User.objects.create_user("ann")
    with uncaptured(Tracked), pghistory.context(user=ann.pk, url="/tracked/", why="tidy") as context:
        one = Tracked.objects.create(name="one", secret="s", card="1")
        Tracked.objects.update(name="uno", count=7)
        Tracked.objects.update(secret="t")
        gone = Tracked.objects.create(name="gone")
        key = gone.pk
        gone.delete()
    assert "pasts.tracked: 4 changes are imported." in command("import", "pghistory")
    updated, inserted = pubsubpull.history(one)
    assert updated.changed == {"name": ("one", "uno"), "The Count": (0, 7)}
    assert (inserted.op, inserted.new["card"], "secret" in inserted.new) == ("insert", "***", False)
    assert updated.at == Tracked.pgh_event_model.objects.filter(pgh_label="update").earliest("pgh_id").pgh_created_at
    assert updated.request_id == context.id
    request = updated.request
    assert (request["user_id"], request["user_name"], request["path"]) == (str(ann.pk), "ann", "/tracked/")
    assert (request["source"], request["metadata"]) == ("pghistory", {"why": "tidy"})
    assert [entry.op for entry in pubsubpull.history(Tracked, key)] == ["delete", "insert"]
    assert len(pubsubpull.history(request=context.id)) == 4
    assert len(pubsubpull.history(user=ann)) == 4


def test_imported_rows_are_as_captured_ones():
    with uncaptured(Tracked):
        one = Tracked.objects.create(name="one", amount="1.50", data={"a": 1})
    command("import", "pghistory")
    imported = pubsubpull.history(one)[0].new
    Tracked.objects.update(name="captured")
    assert pubsubpull.history(one)[0].old == imported


def test_changes_of_one_transaction_stay_in_their_order_and_come_once():
    """All have the time at which it began."""
    with uncaptured(Tracked), transaction.atomic():
        one = Tracked.objects.create(name="a")
        for name in "baba":
            Tracked.objects.update(name=name)
    for written in (5, 0):
        assert f"{written} changes are imported" in command("import", "pghistory")
        assert [entry.new["name"] for entry in pubsubpull.history(one)] == list("ababa")


def test_rows_before_the_changes_are_rebuilt_from_later_changes():
    with uncaptured(Before):
        one, other, gone = (Before.objects.create(name=name) for name in ("one", "other", "gone"))
        for name in ("uno", "un"):
            Before.objects.filter(pk=one.pk).update(name=name)
        Before.objects.filter(pk=other.pk).update(name="otro")
        key = gone.pk
        Before.objects.filter(pk=key).update(name="ido")
        gone.delete()
    Before.objects.filter(pk=other.pk).update(name="captured")
    assert "5 changes are imported" in command("import", "pghistory")

    def names(key):
        return [((e.old or {}).get("name"), (e.new or {}).get("name")) for e in pubsubpull.history(Before, key)]

    assert names(one.pk) == [("uno", "un"), ("one", "uno")]
    assert names(other.pk) == [("otro", "captured"), ("other", "otro")]
    assert names(key) == [("ido", None), ("gone", "ido")]


def test_an_event_without_a_context_has_no_user():
    with uncaptured(Tracked):
        one = Tracked.objects.create(name="one")
        pghistory.create_event(one, label="insert")
    command("import", "pghistory")
    entry = pubsubpull.history(one)[0]
    assert (entry.user, entry.request["source"]) == (None, "pghistory")
    assert isinstance(entry.request_id, uuid.UUID)


def test_an_event_captured_in_the_same_transaction_is_not_imported():
    """An event has the time at which its transaction began, which is before that of the captured change."""
    with transaction.atomic():
        Tracked.objects.create(name="both")
    run("SELECT 1")
    said = command("import", "pghistory")
    assert "0 changes are imported" in said
    assert "1 are of the time since capture began" in said
    assert [entry.op for entry in pubsubpull.history()] == ["insert"]


def test_the_event_model_with_most_columns_is_read_with_the_context_in_it():
    ann = User.objects.create_user("ann")
    with uncaptured(Inline), pghistory.context(user=ann.pk, url="/x/", why="tidy") as context:
        one = Inline.objects.create(name="one")
        Inline.objects.update(count=7)
    said = command("import", "pghistory", "pasts.inline")
    assert "2 changes are imported" in said
    assert "The events of pasts.ShortEvent are left out." in said
    updated, inserted = pubsubpull.history(one)
    assert (inserted.new["name"], updated.changed) == ("one", {"count": (0, 7)})
    assert (updated.user, updated.request_id, updated.request["path"]) == ("ann", context.id, "/x/")
    assert updated.request["metadata"] == {"why": "tidy"}


def test_events_without_any_context_and_without_all_columns_are_read():
    with uncaptured(Alone):
        one = Alone.objects.create(name="one")
    assert "The other package does not have these columns: note." in command("import", "pghistory", "pasts.alone")
    (entry,) = pubsubpull.history(one)
    assert (entry.new, entry.user) == ({"id": one.pk, "name": "one"}, None)
