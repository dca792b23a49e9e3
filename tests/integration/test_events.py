"""Events: written with the change that they tell of, and read as every other change."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

import pubsubpull
from pubsubpull import conf, exceptions
from pubsubpull.events import declare
from pubsubpull.log import feed
from pubsubpull.log.models import Change
from pubsubpull.operate import health
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run as run_worker
from tests.delivering import until
from tests.shop.events import LineAdded, OrderPlaced
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


def placed(order=7, **data):
    return OrderPlaced(order=order, total=data.pop("total", Decimal("12.50")), **data)


def items(cursor, *labels):
    page = feed.page(cursor, limit=100, models=list(labels))
    return json.loads(f"[{page.items.decode()}]")


def now():
    return feed.present().cursor()


def test_an_event_is_a_change_of_the_transaction_that_emits_it_and_stands_after_its_rows():
    start = now()
    with pubsubpull.context(user="ann"), transaction.atomic():
        Customer.objects.create(name="a")
        version = pubsubpull.emit(placed(at="2026-01-02T03:04:05Z"))
    row, event = items(start, "shop.customer", "shop.orderplaced")
    assert (event["op"], event["model"], event["key"], event["version"]) == ("event", "shop.orderplaced", "7", version)
    assert (event["old"], event["new"]) == (
        None,
        {"order": 7, "total": "12.50", "currency": "EUR", "at": "2026-01-02T03:04:05Z"},
    )
    assert row["version"] < version
    assert row["request"] == event["request"] is not None
    assert row["transaction"] == event["transaction"]
    assert Change.objects.get(id=version).op == "V"


def test_an_event_alone_names_its_request_too():
    start = now()
    with pubsubpull.context(user="ann"), transaction.atomic():
        pubsubpull.emit(placed())
    (event,) = items(start, "shop.orderplaced")
    assert event["request"] is not None


def test_a_rolled_back_event_is_not_emitted():
    start = now()
    with transaction.atomic():
        pubsubpull.emit(placed(1))
        with pytest.raises(RuntimeError), transaction.atomic():
            pubsubpull.emit(placed(2))
            raise RuntimeError
    with pytest.raises(RuntimeError), transaction.atomic():
        pubsubpull.emit(placed(3))
        raise RuntimeError
    assert [event["key"] for event in items(start, "shop.orderplaced")] == ["1"]


def test_outside_a_transaction_it_raises_unless_it_is_alone():
    start = now()
    with pytest.raises(exceptions.EventError, match="shop.orderplaced: transaction is missing") as error:
        pubsubpull.emit(placed())
    assert error.value.field == "transaction"
    assert items(start, "shop.orderplaced") == []
    pubsubpull.emit(placed(), alone=True)
    assert len(items(start, "shop.orderplaced")) == 1


def test_many_are_written_in_order_and_all_or_none():
    start = now()
    with transaction.atomic():
        versions = pubsubpull.emit_many(placed(number) for number in range(2500))
    page = feed.page(start, limit=5000, models=["shop.orderplaced"])
    found = json.loads(f"[{page.items.decode()}]")
    assert [(event["version"], event["key"]) for event in found] == [(v, str(n)) for n, v in enumerate(versions)]
    with pytest.raises(exceptions.EventError), transaction.atomic():
        pubsubpull.emit_many([placed(1), Customer(name="no event")])
    assert items(page.cursor, "shop.orderplaced") == []


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: OrderPlaced(order="x", total=1), "order"),
        (lambda: OrderPlaced(order=1), "total"),
        (lambda: OrderPlaced(order=1, total=1, totle=2), "totle"),
    ],
)
def test_data_that_does_not_fit_is_refused_when_it_is_made(make, field):
    with pytest.raises(ValueError, match=field):
        make()


def test_a_key_that_is_null_a_nul_character_and_too_much_data_are_refused(settings):
    @pubsubpull.event(key="name", label="shop.named")
    class Named:
        name: str | None

    try:
        for name, field in ((None, "name"), ("a\x00b", "data"), ("a" * 2000, "data")):
            settings.PUBSUBPULL = {**settings.PUBSUBPULL, "EVENT_LIMIT": 1000}
            with pytest.raises(exceptions.EventError) as error:
                pubsubpull.emit(Named(name=name), alone=True)
            assert (error.value.field, error.value.label) == (field, "shop.named")
    finally:
        declare._kinds.pop("shop.named")
    assert not Change.objects.filter(model="shop.named").exists()


def test_a_composite_key_and_a_later_version():
    start = now()
    pubsubpull.emit(LineAdded(order=1, line=2, quantity=3, unit="kg"), alone=True)
    (event,) = items(start, "shop.lineadded")
    assert json.loads(event["key"]) == ["1", "2"]
    assert event["new"] == {"$v": 3, "order": 1, "line": 2, "quantity": 3, "unit": "kg"}
    kind = declare.kind_of(LineAdded)
    assert kind.load(event["new"]) == LineAdded(order=1, line=2, quantity=3, unit="kg")
    assert kind.load({"order": 1, "line": 2, "count": 5}) == LineAdded(order=1, line=2, quantity=5, unit="piece")
    with pytest.raises(exceptions.EventError, match=r"version 4; known are 1 to 3"):
        kind.load({"$v": 4})
    with pytest.raises(exceptions.EventError, match=r"version 1, whose upcast failed"):
        kind.load({"order": 1})


def run(text, *given):
    with connection.cursor() as cursor:
        cursor.execute(text, given)
        return cursor.fetchall()


def test_sql_and_triggers_emit_the_same():
    start = now()
    ((version,),) = run("SELECT pubsubpull_emit('shop.orderplaced', '9', '{\"order\": 9, \"total\": \"1\"}')")
    (event,) = items(start, "shop.orderplaced")
    assert (event["version"], event["key"], event["new"]) == (version, "9", {"order": 9, "total": "1"})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("NULL, '1', '{}'", "label"),
        ("'Shop.Order', '1', '{}'", "label"),
        ("'shop.a', NULL, '{}'", "key"),
        ("'shop.a', '1', NULL", "data"),
        ("'shop.a', '1', '[]'", "data"),
    ],
)
def test_sql_that_does_not_fit_is_refused_and_names_the_argument(arguments, said):
    with pytest.raises(Exception, match=f"pubsubpull_emit: {said}: "):
        run(f"SELECT pubsubpull_emit({arguments})")


def test_events_take_a_grant_of_their_own_and_come_with_no_grant_of_models():
    pubsubpull.emit(placed(), alone=True)
    models, _ = consumers.add("models", ["*"])
    events, _ = consumers.add("events", ["event:*"])
    named, _ = consumers.add("named", ["shop.orderplaced", "shop.customer"])
    assert "shop.orderplaced" not in consumers.granted(models)
    assert consumers.granted(events) == ["shop.lineadded", "shop.orderplaced"]
    assert sorted(consumers.granted(named)) == ["shop.customer", "shop.orderplaced"]


def test_events_are_pushed_in_order_with_the_rows_and_only_to_their_consumers():
    events, _ = consumers.add("events", ["event:*", "shop.customer"], may_subscribe=True)
    others, _ = consumers.add("others", ["*"], may_subscribe=True)
    for consumer in (events, others):
        models = consumers.granted(consumer)
        wish = service.SubscriptionSpec(
            callback=f"https://{consumer.name}.example/", models=models, format="cloudevents"
        )
        service.put(consumer, "all", wish)

    def work(_worker, sending):
        with transaction.atomic():
            customer = Customer.objects.create(name="a")
            pubsubpull.emit(placed(customer.pk))
        until(lambda: len([True for one in sending.sent if "events.example" in one.target.address]) >= 1)
        until(lambda: any("others.example" in one.target.address for one in sending.sent))
        got = [
            event
            for one in sending.sent
            if "events.example" in one.target.address
            for event in json.loads(one.message.body)
        ]
        assert [event["type"] for event in got] == ["shop.customer.insert", "shop.orderplaced"]
        assert (got[1]["subject"], got[1]["data"]["total"]) == (str(customer.pk), "12.50")
        others = [
            event
            for one in sending.sent
            if "others.example" in one.target.address
            for event in json.loads(one.message.body)
        ]
        assert [event["type"] for event in others] == ["shop.customer.insert"]

    run_worker(work)


def test_an_event_has_no_instances(client):
    _, token = consumers.add("events", ["event:*"])
    answer = client.get("/pubsubpull/models/shop.orderplaced/instances/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 404


def test_an_object_has_the_events_about_it_in_its_history(client):
    customer = Customer.objects.create(name="a")
    with transaction.atomic():
        order = Order.objects.create(customer=customer, reference="r", total=1)
        pubsubpull.emit(placed(order.pk))
        pubsubpull.emit(placed(order.pk + 1))
    Order.objects.filter(pk=order.pk).update(total=2)
    entries = pubsubpull.history(order)
    assert [(entry.model, entry.op) for entry in entries] == [
        ("shop.order", "update"),
        ("shop.orderplaced", "event"),
        ("shop.order", "insert"),
    ]
    assert entries[1].new["total"] == "12.50"
    assert pubsubpull.history(customer)[0].model == "shop.customer"
    client.force_login(User.objects.create_superuser("boss"))
    page = client.get(f"/admin/shop/order/{order.pk}/history/").content.decode()
    assert "orderplaced" in page
    assert "12.50" in page


def test_a_subscription_to_an_event_is_healthy():
    consumer, _ = consumers.add("events", ["event:*"], may_subscribe=True)
    service.put(consumer, "all", service.SubscriptionSpec(callback="https://a.example/", models=["shop.orderplaced"]))
    assert health.checks(conf.get())["labels"] == "ok"


def test_a_backslash_before_u0000_is_no_nul_character():
    start = now()
    pubsubpull.emit(OrderPlaced(order=1, total=1, currency="a\\u0000b"), alone=True)
    (event,) = items(start, "shop.orderplaced")
    assert event["new"]["currency"] == "a\\u0000b"
