"""Callbacks with variables and CloudEvents, by real workers to a real receiver."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from pubsubpull.models import Failure
from tests.acceptance.test_delivery import consumer, receiver, subscribe, workers  # noqa: F401  fixtures
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


def paths(pages):
    return sorted({page["path"] for page in pages})


def template(receiver):  # noqa: F811
    return f"{receiver.url}/{{model}}/{{key}}?v={{version}}"


def test_each_change_goes_to_its_own_url_and_each_keys_in_order(subscribe, workers, receiver):  # noqa: F811
    subscribe(callback=template(receiver), concurrency=8)
    workers.start()
    rows = Customer.objects.bulk_create([Customer(name="0") for _ in range(20)])
    for name in "123":
        Customer.objects.update(name=name)
    pages = receiver.wait(lambda pages: len(pages) >= 80)
    assert len(pages) == 80
    by_key = {}
    for page in pages:
        (item,) = page["items"]
        assert page["path"] == f"/callback/shop.customer/{item['key']}?v={item['version']}"
        by_key.setdefault(item["key"], []).append(item["new"]["name"])
    assert by_key == {str(row.pk): ["0", "1", "2", "3"] for row in rows}


def test_a_key_that_is_refused_holds_no_other_key_of_its_page(subscribe, workers, receiver):  # noqa: F811
    refusing = True
    receiver.answer = lambda page: (500 if page["items"][0]["new"]["name"] == "sick" and refusing else 204, {}, b"")
    made = subscribe(callback=template(receiver))
    _, well = Customer.objects.bulk_create([Customer(name="sick"), Customer(name="well")])
    workers.start()
    receiver.wait(lambda pages: len({page["id"] for page in pages}) == 2 and len(pages) >= 4)
    taken = [page for page in receiver.came if page["items"][0]["key"] == str(well.pk)]
    assert len(taken) == 1, "what was taken is not sent again"
    made.refresh_from_db()
    assert made.state == "failing"
    refusing = False
    Customer.objects.update(name="after")
    receiver.wait(lambda pages: len([p for p in pages if p["items"][0]["new"]["name"] == "after"]) == 2)


def test_a_refused_change_with_a_url_of_its_own_is_set_aside(subscribe, workers, receiver):  # noqa: F811
    receiver.answer = lambda page: (422 if page["items"][0]["new"]["name"] == "poison" else 204, {}, b"no")
    made = subscribe(callback=template(receiver), on_failure="set-aside")
    workers.start(SET_ASIDE_AFTER=1)
    Customer.objects.bulk_create([Customer(name=name) for name in ("a", "poison", "b", "c")])
    names = {"a", "poison", "b", "c"}
    receiver.wait(lambda pages: {p["items"][0]["new"]["name"] for p in pages} == names)
    Customer.objects.create(name="later")
    receiver.wait(lambda pages: pages[-1]["items"][0]["new"]["name"] == "later")
    (failure,) = Failure.objects.filter(subscription=made)
    assert failure.status == 422


def test_cloudevents_are_read_by_the_official_package_and_keep_their_ids(subscribe, workers, receiver):  # noqa: F811
    statuses = iter([500, 204])
    receiver.answer = lambda _: (next(statuses, 204), {}, b"")
    subscribe(format="cloudevents")
    workers.start()
    Customer.objects.bulk_create([Customer(name="a"), Customer(name="b")])
    first, again = receiver.wait(lambda pages: len(pages) == 2)
    assert first["body"] == again["body"]
    assert first["headers"]["webhook-id"] == again["headers"]["webhook-id"]
    assert first["headers"]["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    found = [
        from_structured_event(
            HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=json.dumps(event).encode())
        )
        for event in first["content"]
    ]
    assert [event.get_data()["new"]["name"] for event in found] == ["a", "b"]
    assert found[0].get_type() == "shop.customer.insert"


def test_an_event_with_a_url_of_its_own_is_one_event(subscribe, workers, receiver):  # noqa: F811
    subscribe(format="cloudevents", callback=template(receiver))
    workers.start()
    row = Customer.objects.create(name="a")
    (page,) = receiver.wait(lambda pages: len(pages) == 1)
    event = from_structured_event(HTTPMessage(headers=page["headers"], body=page["body"]))
    assert event.get_subject() == str(row.pk)
    assert page["headers"]["content-type"] == "application/cloudevents+json; charset=utf-8"
