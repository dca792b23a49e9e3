"""The OpenAPI document describes notifications: every kind of them, in both formats, matches it."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from django.db import connection

from pubsubpull.models import Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import dead_letters, service
from pubsubpull.urls import api
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
PLAIN, ONE = "http://127.0.0.1:9/", "http://127.0.0.1:9/{model}/{key}"


def operation():
    return api.get_openapi_schema()["webhooks"]["notification"]["put"]


def validator(sent):
    """Return a validator of a body of this media type, from the document."""
    document = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    media = sent.headers["content-type"].partition(";")[0]
    schema = document["webhooks"]["notification"]["put"]["requestBody"]["content"][media]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})


@pytest.mark.parametrize("callback", [PLAIN, ONE])
@pytest.mark.parametrize("form", ["page", "cloudevents"])
def test_every_notification_is_as_the_document_has_it(form, callback):
    consumer, _ = consumers.add("reader", ["shop.customer", "shop.stock"], may_subscribe=True)
    models = ["shop.customer", "shop.stock"]
    wish = service.SubscriptionSpec(
        callback=callback, models=models, format=form, instances=True, batch=1, on_failure="set-aside"
    )
    Customer.objects.create(name="there")
    made, _ = service.put(consumer, "main", wish)
    healed = []
    transport = HttpRecorder(lambda sent: Response(status=422 if b'"bad"' in sent.body and not healed else 204))

    def work(*_):
        until(lambda: not Subscription.objects.get().backfill)
        Customer.objects.create(name="bad")
        Customer.objects.update(name="changed")
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE shop_stock")
        until(Failure.objects.exists)
        healed.append(True)
        Customer.objects.all().delete()
        until(lambda: sum(b'delete"' in sent.body for sent in transport.sent) >= 2 and not dead_letters.retry(made))

    run(work, transport, SET_ASIDE_AFTER=1)
    headers = {one["name"]: one["required"] for one in operation()["parameters"]}
    for sent in transport.sent:
        validator(sent).validate(json.loads(sent.body))
        said = {name for name in sent.headers if name.startswith(("webhook-", "pubsubpull-"))}
        assert {name for name, required in headers.items() if required} <= said <= headers.keys()


def test_an_invalid_notification_does_not_match_the_document():
    schema = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    body = operation()["requestBody"]["content"]["application/json"]["schema"]
    check = jsonschema_rs.Draft202012Validator({**body, "components": schema["components"]})
    change = {
        "version": 1,
        "transaction": "1",
        "model": "m.m",
        "key": "1",
        "op": "update",
        "at": "2026-01-01T00:00:00Z",
    }
    change |= {"request": None, "old": None, "new": {}}
    assert check.is_valid({"subscription": "s", "items": [change]})
    assert not check.is_valid({"subscription": "s", "items": [change, change]})
    assert not check.is_valid({"subscription": "s", "items": [{**change, "op": "snapshot"}]})
    assert not check.is_valid({"items": [change]})
