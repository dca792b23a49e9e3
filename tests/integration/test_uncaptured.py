"""Capture that is switched off for a block: nothing of it is silent."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from pubsubpull.pull import consumers
from tests.shop.models import Account, Customer, Event, Order, Quoted, Stock

pytestmark = pytest.mark.django_db(transaction=True)
SETTING = "SELECT coalesce(current_setting('pubsubpull.uncaptured', true), '')"


def run(statement, params=None, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else []


def ops(*models):
    return "".join(Change.objects.filter(model__in=models).values_list("op", flat=True))


def test_a_block_leaves_one_record_of_each_model_with_user_and_reason():
    with pubsubpull.context(source="import", user="ann"), pubsubpull.uncaptured(Customer, "shop.quoted", reason="load"):
        Customer.objects.bulk_create([Customer(name="a"), Customer(name="b")])
        Customer.objects.update(name="c")
        Customer.objects.filter(pk=Customer.objects.first().pk).update(name="d")
        Customer.objects.all().delete()
        Quoted.objects.create(value="t")
        Order.objects.create()
    Customer.objects.create(name="e")
    assert (ops("shop.customer"), ops("shop.quoted"), ops("shop.order")) == ("OI", "O", "I")
    record = Change.objects.get(op="O", model="shop.customer")
    assert (record.key, record.old, record.new) == (None, None, None)
    request = Request.objects.get(pk=record.request_id)
    assert (request.source, request.user_name, request.metadata) == ("import", "ann", {"reason": "load"})


def test_tables_that_are_captured_row_by_row_are_left_out_too():
    with pubsubpull.uncaptured(Account, Event, reason="load"):
        Account.objects.create(owner="a")
        run("INSERT INTO shop_event VALUES ('north', 1, ''), ('south', 2, '')")
        run("TRUNCATE shop_event_north")
        run("TRUNCATE shop_event")
    assert (ops("shop.account"), ops("shop.event")) == ("O", "O")


def test_a_block_opens_a_transaction_of_its_own_and_leaves_nothing_on_the_session():
    with pubsubpull.uncaptured(Customer, reason="load"):
        assert connection.in_atomic_block
    assert run(SETTING) == [("",)]


def test_within_a_transaction_capture_goes_on_after_the_block():
    with transaction.atomic():
        with pubsubpull.uncaptured(Customer, reason="load"):
            Customer.objects.create(name="a")
        Customer.objects.create(name="b")
    assert ops("shop.customer") == "OI"


def test_blocks_nest():
    with pubsubpull.uncaptured(Customer, reason="outer"):
        with pubsubpull.uncaptured(Customer, Quoted, reason="inner"):
            Customer.objects.create(name="a")
            Quoted.objects.create(value="a")
        Customer.objects.create(name="b")
        Quoted.objects.create(value="b")
    assert (ops("shop.customer"), ops("shop.quoted")) == ("OO", "OI")
    reasons = [Request.objects.get(pk=one.request_id).metadata["reason"] for one in Change.objects.filter(op="O")]
    assert reasons == ["outer", "inner", "inner"]


@pytest.mark.parametrize("fails", ["python", "database"])
def test_an_exception_takes_back_the_block_and_its_record(fails):
    def load():
        with pubsubpull.uncaptured(Customer, reason="load"):
            Customer.objects.create(name="a")
            if fails == "python":
                raise ValueError
            run("SELECT 1 / 0")

    with transaction.atomic():
        with pytest.raises((ValueError, DatabaseError)):
            load()
        Customer.objects.create(name="b")
    assert ops("shop.customer") == "I"
    assert [one.name for one in Customer.objects.all()] == ["b"]


def test_a_rollback_that_is_asked_for_within_takes_back_the_block():
    with transaction.atomic():
        with pubsubpull.uncaptured(Customer, reason="load"):
            Customer.objects.create(name="a")
            transaction.set_rollback(True)
        Customer.objects.create(name="b")
    assert ops("shop.customer") == "I"


def test_a_savepoint_rolled_back_within_leaves_the_block_as_it_was():
    with transaction.atomic():
        with pubsubpull.uncaptured(Customer, reason="load"):
            with transaction.atomic():
                Customer.objects.create(name="a")
                transaction.set_rollback(True)
            Customer.objects.create(name="b")
        Customer.objects.create(name="c")
    assert ops("shop.customer") == "OI"


def test_a_record_that_was_rolled_back_hides_nothing():
    with transaction.atomic():
        with transaction.atomic():
            run("SELECT pubsubpull_uncapture('{shop.customer}', 'mine')")
            ((setting,),) = run(SETTING)
            transaction.set_rollback(True)
        assert run(SETTING) == [("",)]
        run("SELECT set_config('pubsubpull.uncaptured', %s, true)", [setting])
        Customer.objects.create(name="a")
    assert ops("shop.customer") == "I"


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize(
    "setting",
    ["on", "{earlier}", "{other}", "{change}", "{earlier},{other},{change}", "0", "9" * 18, "9" * 30, "-1", "1,", "'"],
)
def test_the_setting_alone_hides_nothing(setting, level):
    model, make = (Customer, {"name": "a"}) if level == "statement" else (Account, {"owner": "a"})
    with pubsubpull.uncaptured(model, reason="earlier"):
        pass
    with transaction.atomic(), pubsubpull.uncaptured(Quoted, reason="other"):
        ids = dict(Change.objects.values_list("model", "id"))
        order = Order.objects.create()
        given = {
            "earlier": ids[model._meta.label_lower],
            "other": ids["shop.quoted"],
            "change": Change.objects.get(model="shop.order", key=str(order.pk)).pk,
        }
        run("SELECT set_config('pubsubpull.uncaptured', %s, true)", [setting.format(**given)])
        model.objects.create(**make)
    assert ops(model._meta.label_lower).removesuffix("U") == "OI"  # an account's own trigger updates it


def test_a_setting_of_the_session_hides_nothing_and_its_garbage_is_passed_by():
    run("SET pubsubpull.uncaptured = 'x'")
    try:
        with pubsubpull.uncaptured(Customer, reason="load"):
            Customer.objects.create(name="a")
        Quoted.objects.create(value="t")
    finally:
        run("RESET pubsubpull.uncaptured")
    assert (ops("shop.customer")[0], ops("shop.quoted")) == ("O", "I")


def test_by_sql_alone_the_record_says_which_role_it_was_and_why():
    with transaction.atomic():
        run("SELECT pubsubpull_uncapture('{shop.customer,shop.customer}', 'by hand')")
        Customer.objects.create(name="a")
    assert ops("shop.customer") == "O"
    request = Request.objects.get(pk=Change.objects.get(op="O").request_id)
    assert (request.source, request.metadata) == ("uncaptured", {"reason": "by hand"})
    assert run("SELECT session_user::text") == [(request.user_name,)]


@pytest.mark.parametrize("models", [("shop.nothing",), ("shop.customer", "auth.user"), ()])
def test_an_unpublished_model_is_refused(models):
    with pytest.raises(exceptions.PublicationError), pubsubpull.uncaptured(*models, reason="load"):
        pass
    with pytest.raises(DatabaseError, match="models: "), transaction.atomic():
        run("SELECT pubsubpull_uncapture(%s, 'load')", [list(models)])
    assert not Change.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001, None])
def test_a_reason_is_asked_for(reason):
    with pytest.raises(exceptions.PublicationError, match="reason"), pubsubpull.uncaptured(Customer, reason=reason):
        pass
    with pytest.raises(DatabaseError, match="reason"), transaction.atomic():
        run("SELECT pubsubpull_uncapture('{shop.customer}', %s)", [reason])


def test_the_history_of_an_object_shows_user_and_reason_of_switching_off():
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"), pubsubpull.uncaptured(Customer, reason="load"):
        Customer.objects.update(name="b")
    entry, _ = pubsubpull.history(customer)
    assert (entry.op, entry.user, entry.request["metadata"]["reason"]) == ("uncaptured", "ann", "load")


def test_as_of_is_the_row_before_the_next_change_and_unknown_without_one():
    customer = Customer.objects.create(name="a")
    known = timezone.now()
    with pubsubpull.uncaptured(Customer, reason="load"):
        Customer.objects.update(name="b")
    after = timezone.now()
    assert pubsubpull.as_of(customer, None, known).data["name"] == "a"
    with pytest.raises(exceptions.HistoryUncaptured, match="switched off"):
        pubsubpull.as_of(customer, None, after)
    Customer.objects.update(name="c")
    assert pubsubpull.as_of(customer, None, known).data["name"] == "a"
    assert pubsubpull.as_of(customer, None, after).data["name"] == "b"
    assert pubsubpull.as_of(customer, None, timezone.now()).data["name"] == "c"


def test_as_of_does_not_take_a_state_from_beyond_another_block():
    customer = Customer.objects.create(name="a")
    run("TRUNCATE pubsubpull_change")
    before = timezone.now()
    for name in "bc":
        with pubsubpull.uncaptured(Customer, reason="load"):
            Customer.objects.update(name=name)
        between = timezone.now()
    Customer.objects.update(name="d")
    with pytest.raises(exceptions.HistoryUncaptured):
        pubsubpull.as_of(customer, None, before)
    assert pubsubpull.as_of(customer, None, between).data["name"] == "c"


def test_a_composite_key_is_left_out_too():
    with pubsubpull.uncaptured(Stock, reason="load"):
        Stock.objects.bulk_create(Stock(warehouse="w", article=n) for n in range(3))
        run("UPDATE shop_stock SET article = article + 10")
    assert ops("shop.stock") == "O"


def test_the_trail_shows_it_and_an_unknown_moment_is_a_problem(client):
    token = consumers.add("auditor", ["*"], may_audit=True)[1]

    def get(path, **query):
        headers = {"Authorization": f"Bearer {token}"}
        return client.get(f"/pubsubpull/models/shop.customer/{path}", query, headers=headers)

    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"), pubsubpull.uncaptured(Customer, reason="load"):
        Customer.objects.update(name="b")
    first = get(f"audit/{customer.pk}/").json()["items"][0]
    assert (first["op"], first["changed"]) == ("uncaptured", {})
    assert (first["request"]["user_name"], first["request"]["metadata"]) == ("ann", {"reason": "load"})
    answer = get(f"instances/{customer.pk}/", at=timezone.now().isoformat())
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:pubsubpull:problem:uncaptured")


def test_a_seal_stands_for_the_record():
    with pubsubpull.uncaptured(Customer, reason="load"):
        Customer.objects.create(name="a")
    run("TRUNCATE pubsubpull_seal")
    for _ in range(2):
        run("SELECT pubsubpull_settle()")
    call_command("pubsubpull_seal", "--age", "0")
    call_command("pubsubpull_verify")
    run("UPDATE pubsubpull_change SET op = 'T' WHERE op = 'O'")
    with pytest.raises(CommandError):
        call_command("pubsubpull_verify")
    run("TRUNCATE pubsubpull_seal")
