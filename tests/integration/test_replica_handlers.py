"""Handlers: each change once, in the page's transaction, and a failure is its replica's alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from pubsubpull import exceptions, on_change
from pubsubpull.pull.client import Change
from pubsubpull.replica import checks, cohorts, declaration, health, positions
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import ReplicaState
from tests import processes
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def handling():
    """Declare handlers that are gone after the test."""
    made = []

    def handle(function, source="shop.customer", **options):
        made.append(on_change(source, **options)(function))
        return made[-1]

    yield handle
    for one in made:
        handlers.forget(one)


def due(follower):
    processes.until(lambda: not cohorts.snapshot("shop", "default", timezone.now()).next_attempt())
    follower.run_once()


def test_a_handler_is_called_for_each_change_in_order_and_for_the_ops_it_wants(follower, handling):
    came, inserts = [], []
    handling(came.append)
    handling(inserts.append, ops=["insert"])
    there.Customer.objects.create(name="was there")
    follower.run_once()
    assert came == [], "what was there is copied, and no change"
    customer = there.Customer.objects.create(name="a")
    there.Customer.objects.filter(pk=customer.pk).update(name="b")
    there.Customer.objects.filter(pk=customer.pk).update(name="c")
    customer.delete()
    there.Stock.objects.create(warehouse="w", article=1)
    follower.run_once()
    follower.run_once()
    assert [(one.op, (one.new or one.old)["name"]) for one in came] == [
        ("insert", "a"),
        ("update", "b"),
        ("update", "c"),
        ("delete", "c"),
    ]
    assert [one.op for one in inserts] == ["insert"]
    assert isinstance(came[0], Change)


def test_a_handlers_writes_commit_with_the_page_or_not_at_all(follower, handling):
    """It raises after it has written: nothing stays, its replica waits; then all is applied, and written once."""
    wrong = {"b"}

    def note(change):
        here.Note.objects.create(text=change.new["name"])
        assert here.Customer.objects.filter(name=change.new["name"]).exists(), "the rows are there already"
        if change.new["name"] in wrong:
            raise ValueError("not this one")

    follower.run_once()
    handling(note)
    there.Customer.objects.bulk_create(there.Customer(name=name) for name in "abc")
    there.Stock.objects.create(warehouse="w", article=1)
    with pytest.raises(exceptions.ReplicaFailed, match=r"note failed on version \d+: ValueError: not this one"):
        follower.run_once()
    assert not here.Note.objects.exists()
    assert not here.Customer.objects.exists()
    assert here.Stock.objects.exists(), "other replicas go on"
    assert here.Shout.objects.count() == 3, "even others of the same source"
    assert "not this one" in health.checks("default")["replica replicas.customer"]
    there.Customer.objects.create(name="d")
    with pytest.raises(exceptions.ReplicaFailed):
        due(follower)
    wrong.clear()
    due(follower)
    assert list(here.Note.objects.order_by("id").values_list("text", flat=True)) == list("abcd")
    assert ReplicaState.objects.values("cursor").distinct().count() == 1
    there.Customer.objects.create(name="e")
    follower.run_once()
    assert here.Note.objects.count() == 5


def test_a_handler_that_raises_stops_its_own_replica_only(follower, handling):
    """Even a replica with a foreign key to it goes on."""
    handling(lambda change: change.unknown)
    follower.run_once()
    there.Customer.objects.create(name="a")
    there.Order.objects.create(reference="a")
    there.Stock.objects.create(warehouse="w", article=1)
    with pytest.raises(exceptions.ReplicaFailed, match=r"replicas\.customer: .* failed on version \d+: AttributeError"):
        follower.run_once()
    ReplicaState.objects.filter(name="replicas.customer").update(next_attempt=timezone.now() + timedelta(days=1))
    there.Order.objects.create(reference="b")
    follower.run_once()
    assert [one.number for one in here.Order.objects.order_by("id")] == ["a", "b"]
    assert here.Shout.objects.count() == here.Stock.objects.count() == 1
    assert not here.Customer.objects.exists()
    assert [name for name, state in health.checks("default").items() if state != "ok"] == ["replica replicas.customer"]


def test_a_handler_without_a_replica_follows_the_changes_alone(follower, handling):
    came = []
    handling(came.append, source="shop.place", service="shop", name="places")
    there.Place.objects.create(name="was there")
    follower.run_once()
    there.Place.objects.create(name="new")
    follower.run_once()
    assert [change.new["name"] for change in came] == ["new"]
    assert health.checks("default")["replica places"] == "ok"


def test_a_second_copy_calls_handlers_once_for_changes_made_meanwhile(follower, handling):
    came = []
    handling(came.append)
    follower.run_once()
    there.Customer.objects.create(name="meanwhile")
    replica = declaration.get(here.Customer)
    positions.copy_again([replica], "default")
    follower.run_once()
    there.Customer.objects.create(name="later")
    follower.run_once()
    assert [change.new["name"] for change in came] == ["meanwhile", "later"]


def enqueued():
    from django_tasks_db.models import DBTaskResult

    return [one.args_kwargs["kwargs"]["change"] for one in DBTaskResult.objects.order_by("enqueued_at")]


def test_a_task_is_enqueued_once_for_each_change_with_the_page(follower, handling):
    from tests.replicas import handled

    follower.run_once()
    given = {"task": True, "callback_kwargs": {"greeting": "Hello"}, "job_priority": 3}
    task = handling(handled.greet, source="shop.stock", ops=["insert"], **given)
    assert hasattr(task, "enqueue")
    try:
        handled.greet, plain = task, handled.greet
        there.Stock.objects.create(warehouse="w", article=1)
        with connection.cursor() as run:
            run.execute("ALTER TABLE replicas_stock ADD CONSTRAINT none CHECK (false) NOT VALID")
        with pytest.raises(exceptions.ReplicaFailed):
            follower.run_once()
        assert enqueued() == []
        with connection.cursor() as run:
            run.execute("ALTER TABLE replicas_stock DROP CONSTRAINT none")
        due(follower)
        follower.run_once()
        there.Stock.objects.update(amount=3)
        follower.run_once()
    finally:
        handled.greet = plain
    (change,) = enqueued()
    assert (change["op"], change["new"]) == ("insert", {"warehouse": "w", "article": 1, "amount": 0})


def test_wrong_declarations_are_refused_or_an_error_of_the_checks(handling):
    with pytest.raises(exceptions.ReplicaError, match="ops are of insert, .* not merge"):
        on_change("shop.order", ops=["merge"])
    with pytest.raises(exceptions.ReplicaError, match=r"app_label\.modelname"):
        on_change("order")
    handling(print, source="elsewhere.thing")
    handling(repr, source="elsewhere.thing", service="unknown")
    found = {message.id: message.msg for message in [*checks.check_replicas(), *checks.check_handlers()]}
    assert "builtins.print follows elsewhere.thing" in found["pubsubpull.E022"]
    assert "'unknown'" in found["pubsubpull.E020"]


def test_a_handler_for_a_page_is_called_once_with_all_the_changes_that_it_wants(follower, handling):
    came, each = [], []
    handling(came.append, together=True, ops=["insert", "delete"])
    handling(each.append)
    follower.run_once()
    customers = there.Customer.objects.bulk_create(there.Customer(name=str(n)) for n in range(3))
    there.Customer.objects.update(name="changed")
    customers[0].delete()
    follower.run_once()
    assert [[change.op for change in page] for page in came] == [["insert", "insert", "insert", "delete"]]
    assert [change.version for change in came[0]] == [one.version for one in each if one.op != "update"]
    there.Customer.objects.update(name="changed again")
    follower.run_once()
    assert len(came) == 1


def test_a_handler_for_a_page_that_fails_is_named_with_the_changes_it_was_given(follower, handling):
    def fail(changes):
        raise ValueError(len(changes))

    follower.run_once()
    handling(fail, together=True)
    there.Customer.objects.bulk_create(there.Customer(name=str(n)) for n in range(3))
    with pytest.raises(exceptions.ReplicaFailed, match=r"fail failed on version \d+ to \d+: ValueError: 3"):
        follower.run_once()
    assert not here.Customer.objects.exists()
