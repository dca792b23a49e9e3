"""Erasing is whole: readers that were behind hear of the delete, and nothing that waits somewhere keeps the row."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from pubsubpull.audit.integrity import erasure
from pubsubpull.log import feed
from pubsubpull.models import Change, Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run as deliver
from tests.delivering import until
from tests.exchanges import HttpRecorder, Response
from tests.replicas import models as here
from tests.shop import models as there
from tests.shop.models import Customer, Order, Stock

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "0171 2345678"


@pytest.fixture(autouse=True)
def _empty_log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_seal, pubsubpull_erasure, pubsubpull_import")


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else None


def erase(*arguments):
    out = io.StringIO()
    try:
        call_command("pubsubpull_erase", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def person():
    return Customer.objects.create(name="ann", email=SECRET)


def gone(row, label="shop.customer"):
    """Delete a row and erase it; return its key."""
    key = str(row.pk) if not isinstance(row.pk, tuple) else json.dumps(row.pk)
    row.delete()
    assert "changes of" in erase(label, key, "--yes")
    return key


def items(page):
    return json.loads(f"[{page.items.decode()}]")


@pytest.mark.parametrize("old", [True, False])
def test_a_reader_that_was_behind_hears_of_the_delete_by_its_key_alone(old):
    row = person()
    behind = feed.page(None, limit=100).cursor
    key = gone(row)
    page = feed.page(behind, limit=100, old=old)
    (item,) = items(page)
    assert (item["op"], item["key"], item["old"], item["new"]) == ("delete", key, {"id": int(key)}, None)
    assert not feed.page(page.cursor, limit=100).count


def test_a_reader_that_never_had_it_hears_of_the_delete_alone():
    person_key = gone(person())
    assert [(item["op"], item["key"]) for item in items(feed.page(None, limit=100))] == [("delete", person_key)]


def test_a_composite_key_stays_whole():
    row = Stock.objects.create(warehouse="w", article=1, amount=7)
    behind = feed.page(None, limit=100).cursor
    key = gone(row, "shop.stock")
    (item,) = items(feed.page(behind, limit=100))
    assert (item["key"], item["old"]) == (key, {"warehouse": "w", "article": 1})


def test_over_http_in_each_form_and_to_a_call_that_waits(client):
    token = consumers.add("billing", ["*"], may_audit=True)[1]

    def get(path, **query):
        return client.get(f"/pubsubpull/{path}", query, headers={"Authorization": f"Bearer {token}"}).json()

    row = person()
    after = get("changes/")["cursor"]
    other = Customer.objects.create(name="bob")
    key = gone(row)
    Customer.objects.filter(pk=other.pk).update(name="bo")
    for query in ({}, {"old": "false"}, {"wait": "5"}):
        found = get("changes/", after=after, models="shop.customer", **query)["items"]
        assert [(item["op"], item["key"]) for item in found] == [
            ("insert", str(other.pk)),
            ("delete", key),
            ("update", str(other.pk)),
        ]
    compact = get("changes/", after=after, models="shop.customer", compact="true")
    assert SECRET not in json.dumps(compact)
    assert json.dumps(compact).count('"delete"') == 1


def test_a_subscriber_that_was_behind_gets_the_delete():
    consumer = consumers.add("billing", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"], after="start")
    service.put(consumer, "main", wish)
    key = gone(person())
    transport = HttpRecorder()
    deliver(lambda *_: until(lambda: transport.sent), transport)
    sent = [item for one in transport.sent for item in json.loads(one.body)["items"]]
    assert [(item["op"], item["key"], item["old"]) for item in sent] == [("delete", key, {"id": int(key)})]


def test_a_replica_that_was_behind_loses_the_row(follower):
    """Replicas with functions, with a key of their own, and with a composite one among them."""
    row = person()
    stock = there.Stock.objects.create(warehouse="w", article=1)
    order = Order.objects.create(quantity=20, status="paid")
    follower.run_once()
    assert here.Customer.objects.filter(email=SECRET).exists()
    assert here.Shout.objects.filter(source_id=row.pk).exists()
    for one, label in ((row, "shop.customer"), (stock, "shop.stock"), (order, "shop.order")):
        gone(one, label)
    Customer.objects.create(name="bob")
    follower.run_once()
    assert list(here.Customer.objects.values_list("name", flat=True)) == ["bob"]
    assert list(here.Shout.objects.values_list("shout", flat=True)) == ["BOB"]
    for model in (here.Stock, here.Order, here.PaidOrder, here.BigOrder):
        assert not model.objects.exists(), model


def test_a_replica_takes_the_delete_also_where_changes_are_applied_one_by_one(follower):
    """Unique values that meet within a page make it so."""
    first, second, third = (here.SeatSource.objects.create(number=n) for n in (1, 2, 3))
    follower.run_once()
    for seat, number in ((first, 9), (second, 1), (first, 2)):
        seat.number = number
        seat.save()
    gone(third, here.SeatSource._meta.label_lower)
    follower.run_once()
    assert dict(here.Seat.objects.values_list("id", "number")) == {first.pk: 2, second.pk: 1}


@pytest.fixture
def aside():
    """Have two changes of an object and one of another set aside for a subscription."""
    consumer = consumers.add("billing", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(
        callback="http://127.0.0.1:9/", models=["shop.customer"], after="start", on_failure="set-aside"
    )
    service.put(consumer, "main", wish)
    row = person()
    key = str(row.pk)
    Customer.objects.create(name="bob")
    row.delete()
    receiver = HttpRecorder(lambda _: Response(status=500))
    deliver(lambda *_: until(lambda: Failure.objects.count() == 3), receiver, SET_ASIDE_AFTER=1)
    return key


def test_a_dead_letter_of_an_erased_object_keeps_the_delete_with_its_key_only(aside):
    assert "2 dead letters of subscriptions: their rows too" in erase("shop.customer", aside)
    assert "2 changes of" in erase("shop.customer", aside, "--yes")
    left = [json.loads(failure.item) for failure in Failure.objects.order_by("version")]
    assert [(item["op"], item["old"]) for item in left] == [("insert", None), ("delete", {"id": int(aside)})]
    assert SECRET not in "".join(failure.item for failure in Failure.objects.all())
    Failure.objects.update(retrying=True)
    receiver = HttpRecorder()
    deliver(lambda *_: until(lambda: not Failure.objects.exists()), receiver)
    assert [one["op"] for sent in receiver.sent for one in json.loads(sent.body)["items"]] == ["insert", "delete"]


def test_dead_letters_are_sent_though_retention_has_deleted_their_changes(aside):
    run("TRUNCATE pubsubpull_change")
    assert "0 changes of" in erase("shop.customer", aside, "--yes")
    assert SECRET not in "".join(failure.item for failure in Failure.objects.all())


def test_a_worker_that_holds_a_page_for_a_failing_receiver_reads_it_again():
    """It would send the row for as long as the receiver fails."""
    consumer = consumers.add("billing", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"], after="start")
    service.put(consumer, "main", wish)
    row = person()
    key = list[str]()
    transport = HttpRecorder(lambda sent: Response(status=500 if SECRET in sent.body.decode() else 204))

    def work(*_):
        until(lambda: any(SECRET in sent.body.decode() for sent in transport.sent))
        key.append(str(row.pk))
        row.delete()
        erasure.erase("default", "shop.customer", key[0], by="", reason="")
        until(lambda: '"delete"' in transport.sent[-1].body.decode())
        until(lambda: Subscription.objects.get().state == "active")

    deliver(work, transport)
    assert json.loads(transport.sent[-1].body)["items"][0]["old"] == {"id": int(key[0])}


def test_an_object_that_is_still_there_is_refused_and_nothing_is_erased():
    row = person()
    assert "The object is still in its table" in erase("shop.customer", str(row.pk))
    found = erase("shop.customer", str(row.pk), "--yes")
    assert "Nothing was erased. Delete it first; or take out of it what must go, and erase with --resend" in found
    assert not Change.objects.filter(op="E").exists()


def test_of_an_object_that_was_made_anonymous_readers_hear_how_it_is_now():
    row = person()
    behind = feed.page(None, limit=100).cursor
    Customer.objects.filter(pk=row.pk).update(name="", email="")
    erase("shop.customer", str(row.pk), "--yes", "--resend")
    (item,) = items(feed.page(behind, limit=100))
    assert (item["op"], item["new"]) == ("update", {"id": row.pk, "name": "", "email": ""})
    assert not Change.objects.filter(new__email=SECRET).exists()


@pytest.mark.parametrize("others", [0, 1])
def test_earlier_keys_are_named_and_erased_together(others):
    """One row of a statement is written row by row, several at once."""
    row = person()
    for _ in range(others):
        Customer.objects.create(name="b")
    first, second, third = row.pk, row.pk + 1000, row.pk + 2000
    for before, after in ((first, second), (second, third)):
        run("UPDATE shop_customer SET id = id + 1000 WHERE id BETWEEN %s AND %s", [before, before + others])
        assert Customer.objects.filter(pk=after).exists()
    Customer.objects.filter(pk=third).delete()
    said = erase("shop.customer", str(third))
    for key in (first, second):
        assert f"Its key may have been {key} before" in said
    said = erase("shop.customer", str(third), str(first), str(second), "--yes")
    assert "may have been" not in said
    assert SECRET not in str(list(Change.objects.values_list("old", "new")))


def test_deletes_and_inserts_of_others_are_no_earlier_keys():
    other = Customer.objects.create(name="b")
    with transaction.atomic():
        other.delete()
        Customer.objects.create(name="c")
        row = person()
    key = str(row.pk)
    row.delete()
    assert "may have been" not in erase("shop.customer", key)


def test_models_of_the_same_object_are_named_and_requests_that_stay():
    row = there.Restaurant.objects.create(name="r")
    key = str(row.pk)
    row.delete()
    said = erase("shop.restaurant", key)
    assert "shop.place has rows of the same object" in said
    assert "shop.restaurant has rows of the same object" in erase("shop.place", key)


def test_changes_staged_by_an_interrupted_import_are_erased_for_good():
    run(
        "INSERT INTO pubsubpull_import (model, at, place, nth, op, key, new, request) VALUES "
        "('shop.customer', now() - interval '1 day', 1, 1, 'I', '17', %s, '{}')",
        [json.dumps({"id": 17, "email": SECRET})],
    )
    assert "1 staged by an import, not in the log yet: these too" in erase("shop.customer", "17")
    assert "0 changes of" in erase("shop.customer", "17", "--yes")
    assert run("SELECT count(*) FROM pubsubpull_import") == [(0,)]


def test_staged_changes_of_an_object_erased_meanwhile_are_skipped():
    """The import had begun, and so did not see that it was erased."""
    key = gone(person())
    run(
        "INSERT INTO pubsubpull_import (model, at, place, nth, op, key, new, request) VALUES "
        "('shop.customer', now() - interval '1 day', 1, 1, 'I', %s, %s, '{}')",
        [key, json.dumps({"id": int(key), "email": SECRET})],
    )
    moved = run("SELECT looked, written FROM pubsubpull_import('shop.customer', '-infinity', 0, NULL, 10)")
    assert moved == [(1, 0)]
    assert not Change.objects.filter(new__email=SECRET).exists()


def test_a_model_that_is_published_no_more_is_erased_all_the_same(monkeypatch):
    run("INSERT INTO pubsubpull_change (model, op, key, new) VALUES ('shop.tag', 'I', '170000', '{\"name\": \"ann\"}')")
    assert "1 changes of shop.tag 170000 are erased" in erase("shop.tag", "170000", "--yes")
