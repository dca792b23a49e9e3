"""Handlers of the own log: each event once, in order, together with its effect; a failure is one handler's alone."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.checks import publications
from pubsubpull.events import declare as events
from pubsubpull.log import feed
from pubsubpull.pull import consumers
from pubsubpull.replica import checks, health, positions
from pubsubpull.replica.handlers import declare
from pubsubpull.replica.handlers import positions as local_positions
from pubsubpull.replica.handlers.local import Local
from pubsubpull.replica.handlers.loop import Loop
from pubsubpull.replica.models import Parked, ReplicaState
from pubsubpull.replica.parking import actions
from tests.replicas.models import Note
from tests.sessions import session
from tests.shop.events import LineAdded, OrderPlaced
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _settings():
    with override_settings(PUBSUBPULL={"BACKOFF_FIRST": 0.001, "BACKOFF_LIMIT": 0.01, "SET_ASIDE_AFTER": 3}):
        yield


@pytest.fixture
def react():
    """Declare handlers of events that are gone after the test."""
    declared = []

    def handle(function, event=OrderPlaced, on=pubsubpull.on_event, **options):
        declared.append(on(event, name=options.pop("name", f"test.{len(declared)}"), **options)(function))
        return declared[-1]

    yield handle
    for function in declared:
        declare.forget(function)


def work():
    """Handle what there is now; return what failed."""
    positions.hurry(declare.LOCAL, "default")
    return Loop(using="default").run_once()


def place(*orders, **data):
    with transaction.atomic():
        pubsubpull.emit_many([OrderPlaced(order=order, total=1, **data) for order in orders])


def notes():
    return list(Note.objects.order_by("id").values_list("text", flat=True))


def note(event):
    Note.objects.create(text=event.key)


def test_a_handler_is_given_each_event_once_in_order_as_an_instance_of_its_class(react):
    came = []
    react(came.append)
    place(0)
    assert work() == []
    assert came == [], "it begins at the end of the log"
    with pubsubpull.context(user="ann"), transaction.atomic():
        version = pubsubpull.emit(OrderPlaced(order=7, total="12.50"))
    place(8)
    pubsubpull.emit(LineAdded(order=7, line=1, quantity=1, unit="kg"), alone=True)
    assert work() == work() == []
    assert [event.key for event in came] == ["7", "8"]
    assert came[0].data == OrderPlaced(order=7, total=Decimal("12.50"))
    assert (came[0].label, came[0].version) == ("shop.orderplaced", version)
    assert came[0].request is not None
    assert health.checks("default")["replica test.0"] == "ok"


def test_it_may_begin_with_the_log_and_older_data_are_brought_up(react):
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT pubsubpull_emit('shop.lineadded', '["1", "2"]', '{"order": 1, "line": 2, "count": 5}')"""
        )
    came, late = [], []
    react(came.append, LineAdded, start="start")
    react(late.append, LineAdded)
    assert work() == []
    assert [event.data for event in came] == [LineAdded(order=1, line=2, quantity=5, unit="piece")]
    assert late == []


def test_own_changes_are_handled_by_the_models_class_or_label(react):
    came, labelled = [], []
    react(came.append, Customer, pubsubpull.on_change, ops=["insert"])
    react(labelled.append, "shop.place", pubsubpull.on_change)
    work()
    customer = Customer.objects.create(name="a")
    customer.name = "b"
    customer.save()
    assert work() == []
    assert [(change.op, change.new["name"]) for change in came] == [("insert", "a")]
    assert labelled == []


def test_what_a_handler_writes_and_emits_is_committed_with_its_position_or_not_at_all(react):
    wrong = {"2"}

    def handle(event):
        note(event)
        pubsubpull.emit(LineAdded(order=event.data.order, line=1, quantity=1, unit="kg"))
        if event.key in wrong:
            raise ValueError("not this one")

    others, lines = [], []
    react(handle)
    react(others.append)
    react(lines.append, LineAdded)
    work()
    place(1, 2, 3)
    (failed,) = work()
    assert "failed on version" in failed.reason
    assert "ValueError: not this one" in failed.reason
    assert notes() == ["1"], "what came before the failing event is handled"
    assert [event.key for event in others] == ["1", "2", "3"], "other handlers go on"
    assert [event.data.order for event in lines] == [1], "an event of a handler is handled by another"
    assert "not this one" in health.checks("default")["replica test.0"]
    wrong.clear()
    assert work() == []
    assert notes() == ["1", "2", "3"]
    assert [event.data.order for event in lines] == [1, 2, 3]


def test_a_poisonous_event_parks_its_key_and_the_others_go_on(react):
    wrong = {"2"}

    def handle(event):
        if event.key in wrong:
            raise ValueError("not this one")
        note(event)

    react(handle, on_failure="park")
    work()
    place(1, 2, 3, 2)
    for _ in range(3):
        work()
    assert notes() == ["1", "3"]
    place(2, 4)
    assert work() == []
    assert notes() == ["1", "3", "4"]
    assert list(Parked.objects.values_list("key", flat=True)) == ["2", "2", "2"]
    assert "3 changes are set aside" in health.checks("default")["replica test.0"]
    assert [failure.key for failure in actions.retry("test.0", using="default")] == ["2"]
    wrong.clear()
    assert actions.retry("test.0", using="default") == []
    assert notes() == ["1", "3", "4", "2", "2", "2"]
    place(2)
    work()
    assert notes()[6:] == ["2"]


def test_parked_events_are_listed_retried_and_dropped_by_command(react):
    def handle(_):
        raise pubsubpull.Refused("never")

    def run(*arguments):
        out = io.StringIO()
        call_command("pubsubpull_replicas", *arguments, stdout=out, no_color=True)
        return out.getvalue()

    react(handle, name="mail")
    work()
    place(1, 2)
    (failed,) = work()
    assert "Refused: never" in failed.reason
    assert "Version" in run("park", "mail")
    assert '"order":1' in run("parked", "mail")
    with pytest.raises(CommandError, match="never"):
        run("retry", "mail", "--all")
    assert "1 changes dropped" in run("drop", "mail", "--key", "1")
    assert not Parked.objects.filter(done=False).exists()


def test_a_refused_event_is_parked_at_once(react):
    calls = []

    def handle(event):
        calls.append(event.key)
        if event.key == "1":
            raise pubsubpull.Refused("the card")

    react(handle, on_failure="park")
    work()
    place(1, 2)
    assert work() == []
    assert calls[-1] == "2"
    assert Parked.objects.get().error.endswith("Refused: the card")


def test_an_event_to_be_retried_later_waits_as_long_as_its_handler_says_and_is_never_parked(react):
    def handle(_):
        raise pubsubpull.RetryAfter(60, "the printer is busy")

    react(handle, on_failure="park")
    work()
    place(1)
    for _ in range(5):
        (failed,) = work()
    assert "again in 60 s: the printer is busy" in failed.reason
    state = ReplicaState.objects.get(name="test.0")
    assert state.attempts == 0
    assert 50 < (state.next_attempt - state.failing_since).total_seconds() < 100
    assert not Parked.objects.exists()


def test_all_events_of_a_page_are_given_together(react):
    came = []
    react(came.append, together=True)
    work()
    place(1, 2)
    place(3)
    work()
    assert [[event.key for event in events] for events in came] == [["1", "2", "3"]]


def test_a_task_is_enqueued_with_the_event_as_json_has_it(react):
    from django_tasks_db.models import DBTaskResult

    from tests.replicas import handled

    react(handled.placed, task=True, callback_kwargs={"greeting": "Hello"})
    work()
    place(7)
    assert work() == []
    result = DBTaskResult.objects.get()
    assert result.args_kwargs["kwargs"]["event"]["data"] == {"order": 7, "total": "1", "currency": "EUR", "at": None}
    assert result.args_kwargs["kwargs"]["greeting"] == "Hello"


def test_data_that_fits_no_version_fails_its_handler_and_names_the_field(react):
    react(note, on_failure="park")
    others = []
    react(others.append, LineAdded)
    work()
    with connection.cursor() as cursor:
        cursor.execute("""SELECT pubsubpull_emit('shop.orderplaced', '1', '{"order": 1}')""")
    pubsubpull.emit(LineAdded(order=1, line=1, quantity=1, unit="kg"), alone=True)
    place(2)
    (failed,) = work()
    assert "shop.orderplaced: total Field required" in failed.reason
    assert len(others) == 1
    for _ in range(3):
        work()
    assert notes() == ["2"]


def test_a_handler_that_catches_the_error_of_its_savepoint_goes_on(react):
    def handle(event):
        with pytest.raises(RuntimeError), transaction.atomic():
            note(event)
            pubsubpull.emit(LineAdded(order=1, line=1, quantity=1, unit="kg"))
            raise RuntimeError
        Note.objects.create(text="kept")

    react(handle)
    lines = []
    react(lines.append, LineAdded)
    work()
    place(1)
    assert work() == []
    assert (notes(), lines) == (["kept"], [])


def test_ten_thousand_events_of_one_transaction_are_handled_once_each(react):
    came = []
    react(lambda batch: came.extend(event.key for event in batch), together=True)
    work()
    place(*range(10_000))
    assert work() == []
    assert came == [str(order) for order in range(10_000)]


def test_a_position_that_another_process_has_is_passed_by_and_the_others_go_on(react):
    came = []
    react(note)
    react(came.append)
    work()
    place(1)
    with session() as other, other.transaction():
        other.execute("SELECT FROM pubsubpull_replica WHERE name = 'test.0' FOR UPDATE")
        work()
        assert (notes(), len(came)) == ([], 1)
    work()
    assert (notes(), len(came)) == (["1"], 1)


def test_a_failure_on_a_page_that_another_process_has_handled_meanwhile_is_not_noted(react):
    react(note)
    work()
    (before,) = local_positions.due("default")
    place(1)
    work()
    Local(using="default")._fail(before, exceptions.ReplicaFailed("test.0", "too late"))
    assert health.checks("default")["replica test.0"] == "ok"


def test_a_renamed_handler_keeps_its_position_by_its_name(react):
    def before(event):
        note(event)

    def after(event):
        note(event)

    react(before, name="orders")
    work()
    declare.forget(before)
    place(1)
    react(after, name="orders")
    work()
    assert notes() == ["1"]


def test_a_position_of_another_history_goes_on_from_now_and_says_so(react, caplog):
    came = []
    react(came.append)
    work()
    place(1)
    with connection.cursor() as cursor:
        # As after a dump is restored elsewhere.
        cursor.execute("UPDATE pubsubpull_history SET system_identifier = 1")
        cursor.execute("DELETE FROM pubsubpull_alive")
    work()
    place(2)
    assert work() == []
    assert [event.key for event in came] == ["2"]
    assert "Handler test.0: This cursor is of another history" in caplog.text


def test_handlers_that_nothing_came_for_are_moved_on_without_a_write_for_each_look(react):
    react(note)
    work()
    before = ReplicaState.objects.get(name="test.0").cursor
    loop = Loop(using="default")
    for _ in range(3):
        Customer.objects.create(name="a")
        loop._local.round()
        assert ReplicaState.objects.get(name="test.0").cursor == before
    loop.run_once()
    assert ReplicaState.objects.get(name="test.0").cursor == feed.present().cursor().encode()


def ids():
    return [message.id for message in checks.check_handlers()]


def test_wrong_declarations_are_found(react):
    react(note, name="one")
    assert ids() == []
    react(print, name="one")
    assert ids() == ["pubsubpull.E023"]
    react(len, "shop.nothing")
    react(str, "shop.nothing", pubsubpull.on_change)
    assert ids() == ["pubsubpull.E022", "pubsubpull.E023", "pubsubpull.E024"]
    react(repr, "shop.orderplaced", service="nowhere")
    assert [m.id for m in checks.check_replicas() if "nowhere" in m.msg] == ["pubsubpull.E020"]
    with pytest.raises(exceptions.EventError, match=r"declare its class"):
        pubsubpull.on_event(Customer)
    with pytest.raises(exceptions.ReplicaError, match=r'start is "now" or "start"'):
        pubsubpull.on_event(OrderPlaced, start="yesterday")
    with pytest.raises(exceptions.ReplicaError, match="app_label.modelname"):
        pubsubpull.on_event("orderplaced")


def test_an_event_must_not_have_the_label_of_a_published_model():
    @pubsubpull.event(key="number", label="shop.customer")
    class Taken:
        number: int

    try:
        messages = [message for message in publications.check_publications() if message.id == "pubsubpull.E015"]
    finally:
        events._kinds.pop(Taken.pubsubpull_kind.label)
    assert "shop.customer is the label of a published model and of an event" in messages[0].msg


def test_events_of_another_service_are_handled_with_a_position_each(shop, follow, react):
    """The class is known here, so data come as its instance; a handler that fails waits alone."""
    consumers.change(consumers.consumers().get(name="billing"), grant=["event:*"])
    place(1)
    wrong = {"2"}

    def typed(event):
        Note.objects.create(text=f"typed {event.data.order}")

    def early(event):
        Note.objects.create(text=f"early {event.key}")

    def fail(event):
        note(event)
        if event.key in wrong:
            raise ValueError("not this one")

    react(typed, "shop.orderplaced", service="shop")
    react(early, "shop.orderplaced", service="shop", start="start")
    react(fail, service="shop", on_failure="park")
    follower = follow()
    follower.run_once()
    place(2, 3)
    with pytest.raises(exceptions.ReplicaFailed, match="not this one"):
        follower.run_once()
    assert sorted(notes()) == ["early 1", "early 2", "early 3", "typed 2", "typed 3"]
    wrong.clear()
    positions.hurry("shop", "default")
    follower.run_once()
    assert notes()[5:] == ["2", "3"]


def test_work_once_follows_handles_and_says_what_is_left(shop, react, only):
    out = io.StringIO()
    wrong = {"1"}

    def fail(event):
        if event.key in wrong:
            raise ValueError("not this one")

    only()
    react(fail, name="mail")
    work()
    place(1)
    with pytest.raises(CommandError, match="not this one"):
        call_command("pubsubpull_work", "--once", stdout=out)
    wrong.clear()
    call_command("pubsubpull_work", "--once", stdout=out)
    assert "Up to date." in out.getvalue()
