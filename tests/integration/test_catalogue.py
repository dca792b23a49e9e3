"""The catalogue of models and events, and the check of changes in it."""

from __future__ import annotations

import copy
import io
import json

import pytest
from django.core.management import CommandError, call_command

import pubsubpull
from pubsubpull.operate import catalogue
from pubsubpull.pull import consumers
from pubsubpull.replica.handlers import declare as handlers
from tests.shop.events import OrderPlaced

pytestmark = pytest.mark.django_db(transaction=True)

LABELS = ("shop.customer", "shop.orderplaced", "shop.lineadded")


def run(*arguments):
    out = io.StringIO()
    call_command("pubsubpull_events", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def test_the_document_has_a_channel_for_each_model_and_event_and_all_that_it_refers_to():
    document = catalogue.document(LABELS)
    assert document["asyncapi"] == "3.0.0"
    assert sorted(document["channels"]) == sorted(LABELS)
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        there = document
        for name in reference.split("/"):
            there = there[name]
    schemas = document["components"]["schemas"]
    assert schemas["shop.orderplaced"]["properties"]["order"] == {"title": "Order", "type": "integer"}
    assert schemas["shop.lineadded"]["properties"]["$v"] == {"const": 3}
    assert schemas["shop.orderplaced.change"]["properties"]["op"] == {"enum": ["event"]}
    assert "event" not in schemas["shop.customer.change"]["properties"]["op"]["enum"]


def test_a_consumer_gets_only_models_it_may_read(client):
    _, token = consumers.add("events", ["shop.orderplaced"])
    answer = client.get("/pubsubpull/asyncapi.json", headers={"Authorization": f"Bearer {token}"})
    assert list(answer.json()["channels"]) == ["shop.orderplaced"]
    service = client.get("/pubsubpull/", headers={"Authorization": f"Bearer {token}"}).json()
    assert (service["models"], service["events"]) == ([], ["shop.orderplaced"])


def gone(document):
    del document["channels"]["shop.orderplaced"]


def less(document):
    del document["components"]["schemas"]["shop.orderplaced"]["properties"]["total"]


def other(document):
    document["components"]["schemas"]["shop.customer"]["properties"]["name"] = {"type": "integer"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (gone, ["shop.orderplaced is gone"]),
        (less, ["shop.orderplaced.total is gone"]),
        (other, ["shop.customer.name has another type"]),
    ],
)
def test_columns_readers_would_miss_are_named_and_new_ones_are_not(change, said):
    before = catalogue.document(LABELS)
    after = copy.deepcopy(before)
    change(after)
    assert catalogue.breaks(before, after) == said
    assert [text for text in catalogue.breaks(after, before) if "gone" in text] == []
    assert catalogue.breaks(before, before) == []


def test_texts_for_people_may_change():
    before = catalogue.document(LABELS)
    after = copy.deepcopy(before)
    after["components"]["schemas"]["shop.orderplaced"]["properties"]["order"]["title"] = "Number"
    assert catalogue.breaks(before, after) == []


def test_the_command_lists_prints_and_checks(tmp_path):
    assert "shop.orderplaced: key order, about shop.order" in run()
    assert "shop.lineadded: key order, line, version 3" in run()
    file = tmp_path / "asyncapi.json"
    file.write_text(run("--asyncapi"))
    assert "No label and no field is gone" in run("--check", str(file))
    document = json.loads(file.read_text())
    document["components"]["schemas"]["shop.orderplaced"]["properties"]["coupon"] = {"type": "string"}
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError, match=r"shop\.orderplaced\.coupon is gone"):
        run("--check", str(file))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"channels": {"shop.customer": 1}, "components": {"schemas": []}}'])
def test_a_file_that_is_no_catalogue_is_named(tmp_path, text):
    file = tmp_path / "asyncapi.json"
    file.write_text(text)
    with pytest.raises(CommandError, match="asyncapi.json: "):
        run("--check", str(file))


def test_what_the_service_reacts_to_is_received_and_is_no_promise_of_its_own():
    def reserve(event):
        """Reserve the stock."""

    pubsubpull.on_event(OrderPlaced, name="reserve")(reserve)
    pubsubpull.on_event("billing.invoicepaid", service="billing", name="ship")(reserve)
    try:
        document = json.loads(run("--asyncapi"))
        listed = run()
    finally:
        handlers.forget(reserve)
    operations, channels = document["operations"], document["channels"]
    assert operations["receive.reserve"]["action"] == operations["receive.ship"]["action"] == "receive"
    assert operations["receive.reserve"]["channel"] == {"$ref": "#/channels/shop.orderplaced"}
    assert operations["receive.ship"]["messages"] == [
        {"$ref": "#/channels/billing.billing.invoicepaid/messages/billing.invoicepaid"}
    ]
    assert channels["billing.billing.invoicepaid"]["address"] == "billing.invoicepaid"
    assert "reserve reacts to shop.orderplaced\n" in listed
    assert "ship reacts to billing.invoicepaid of billing\n" in listed
    assert catalogue.breaks(document, catalogue.document(consumers.known_labels())) == []
