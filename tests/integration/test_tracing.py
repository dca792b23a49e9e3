"""The trace of a request goes from its changes into their notifications."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from django.test import RequestFactory
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import pubsubpull
from pubsubpull.audit.context import tracing
from pubsubpull.models import Failure, Request
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import delivering
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00"
STATE = 'vendor=a"b\\,c=d'


@pytest.fixture
def subscribe():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)

    def make(name="main", **given):
        usual = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"]}
        return service.put(consumer, name, service.SubscriptionSpec(**{**usual, **given}))[0]

    return make


def sent(answer=None, count=1, **settings):
    """Return the messages of a worker for the present changes."""
    transport = HttpRecorder(answer) if answer else HttpRecorder()
    delivering.run(lambda *_: delivering.until(lambda: len(transport.sent) >= count), transport, **settings)
    return transport.sent


def names(sent):
    return {name: value for name, value in sent.headers.items() if name.startswith("trace")}


def test_a_notification_of_one_request_carries_its_trace_in_its_headers(client, subscribe):
    subscribe()
    client.get("/write/a/", headers={"traceparent": PARENT, "tracestate": STATE})
    found = Request.objects.get()
    assert (found.traceparent, found.tracestate) == (PARENT, STATE)
    (notification,) = sent()
    assert names(notification) == {"traceparent": PARENT, "tracestate": STATE}
    (item,) = json.loads(notification.body)["items"]
    assert (item["traceparent"], item["tracestate"], item["new"]["name"]) == (PARENT, STATE, "a")


def test_of_several_requests_each_change_says_its_own_trace(client, subscribe):
    subscribe()
    client.get("/write/a/", headers={"traceparent": PARENT})
    client.get("/write/b/", headers={"traceparent": OTHER})
    client.get("/write/c/")
    Customer.objects.create(name="d")
    (notification,) = sent()
    assert names(notification) == {}
    items = json.loads(notification.body)["items"]
    assert [item.get("traceparent") for item in items] == [PARENT, OTHER, None, None]
    assert not any("tracestate" in item for item in items)


def test_a_change_without_a_trace_beside_one_with_keeps_the_trace_out_of_the_headers(client, subscribe):
    subscribe()
    client.get("/write/a/", headers={"traceparent": PARENT})
    Customer.objects.create(name="b")
    assert names(sent()[0]) == {}


def test_each_change_of_a_callback_with_variables_has_its_own_headers(client, subscribe):
    subscribe(callback="http://127.0.0.1:9/{key}")
    client.get("/write/a/", headers={"traceparent": PARENT})
    client.get("/write/b/", headers={"traceparent": OTHER})
    client.get("/write/c/")
    assert [names(one).get("traceparent") for one in sent(count=3)] == [PARENT, OTHER, None]


def test_events_have_the_attributes_of_the_extension(client, subscribe):
    subscribe(format="cloudevents")
    client.get("/write/a/", headers={"traceparent": PARENT, "tracestate": STATE})
    (notification,) = sent()
    (event,) = json.loads(notification.body)
    headers = {"content-type": "application/cloudevents+json"}
    read = from_structured_event(HTTPMessage(headers=headers, body=json.dumps(event).encode()))
    assert (read.get_extension("traceparent"), read.get_extension("tracestate")) == (PARENT, STATE)
    assert names(notification) == {"traceparent": PARENT, "tracestate": STATE}


def test_a_change_that_was_set_aside_keeps_its_trace(client, subscribe):
    made = subscribe(on_failure="set-aside")
    client.get("/write/a/", headers={"traceparent": PARENT, "tracestate": STATE})
    transport = HttpRecorder(Response(status=422))

    def work(*_):
        failure = delivering.until(lambda: Failure.objects.filter(subscription=made).first())
        assert json.loads(failure.item)["traceparent"] == PARENT
        transport.answer = Response(status=204)
        Failure.objects.update(retrying=True)
        delivering.until(lambda: not Failure.objects.exists())

    delivering.run(work, transport, SET_ASIDE_AFTER=1)
    first, last = transport.sent[0], transport.sent[-1]
    assert names(first) == names(last) == {"traceparent": PARENT, "tracestate": STATE}
    assert json.loads(first.body)["items"] == json.loads(last.body)["items"]


@pytest.fixture
def tracer():
    provider = TracerProvider(shutdown_on_exit=False)
    yield provider.get_tracer("tests")
    provider.shutdown()


def test_the_span_that_the_application_has_open_is_the_parent(subscribe, tracer):
    subscribe()
    with tracer.start_as_current_span("import") as span, pubsubpull.context(source="import"):
        Customer.objects.create(name="a")
    context = span.get_span_context()
    parent = f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-"
    assert names(sent()[0])["traceparent"].startswith(parent)


def test_a_span_of_the_service_takes_the_place_of_its_callers(client, tracer):
    with tracer.start_as_current_span("view") as span:
        client.get("/write/a/", headers={"traceparent": PARENT, "tracestate": STATE})
    found = Request.objects.get()
    assert trace.format_span_id(span.get_span_context().span_id) in found.traceparent
    assert found.tracestate is None, "a state belongs to its parent"


def test_a_span_that_cannot_be_read_fails_no_write(client, caplog):
    class Broken(trace.NonRecordingSpan):
        def get_span_context(self):
            raise RuntimeError

    with trace.use_span(Broken(trace.INVALID_SPAN_CONTEXT)):
        assert client.get("/write/a/").status_code == 201
    assert Customer.objects.exists()
    assert "the trace of a change cannot be read: RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("parent", "state", "expected"),
    [
        (PARENT, STATE, {"traceparent": PARENT, "tracestate": STATE}),
        (f" {PARENT} ", "", {"traceparent": PARENT}),
        (PARENT, "x" * 513, {"traceparent": PARENT}),
        (PARENT, "a=ü", {"traceparent": PARENT}),
        (PARENT.replace("00-", "cc-", 1) + "-what-comes-later", "", {"traceparent": PARENT}),
        (PARENT.replace("00-", "ff-", 1), STATE, {}),
        (PARENT + "-more", STATE, {}),
        (PARENT.upper(), STATE, {}),
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", STATE, {}),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", STATE, {}),
        ("x", STATE, {}),
        ("", STATE, {}),
    ],
)
def test_only_a_sound_trace_is_kept(parent, state, expected):
    assert tracing.checked(parent, state) == expected
    headers = {"traceparent": parent, "tracestate": state}
    assert tracing.asked(RequestFactory().get("/", headers=headers)) == expected
