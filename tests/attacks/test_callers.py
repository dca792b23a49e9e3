"""Any call gets an answer that the OpenAPI document knows, without data of other consumers."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import uuid
from urllib.parse import quote

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client, override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import load_all_checks

import pubsubpull
from pubsubpull.conf import NAME
from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor, Snapshot, Window
from pubsubpull.models import Consumer, Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import settings as suite
from tests.shop.models import Customer, Stock

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/pubsubpull/"
SQL = [
    "' OR 1=1 --",
    "'; DROP TABLE shop_customer; --",
    '"; DROP TABLE shop_customer; --',
    "1); SELECT pg_sleep(5); --",
    "$$; SELECT pg_sleep(5); $$",
    "\\'; SELECT pg_sleep(5); --",
    "{model}",
    "%(x)s %s %%",
    "1 UNION SELECT token_hash FROM pubsubpull_consumer",
]
ODD = [
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "%F0%9F%98%80",
    "%0d%0aX-Injected:%201",
    "..%2f..%2f",
    "9" * 400,
    "-" + "9" * 30,
    "1e400",
    "NaN",
    "%5b" * 300,
    "",
]


def routes():
    """Return each route of the OpenAPI document with its methods and parameters."""
    from pubsubpull.urls import api

    return {
        (method.upper(), path.removeprefix(BASE)): operation
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method, operation in operations.items()
    }


@pytest.fixture
def rich():
    """Make some objects of every kind; return the token of a consumer that may read them all."""
    consumer, token = consumers.add("rich", ["*"], may_audit=True, may_subscribe=True)
    for name in ("a", "b"):
        Customer.objects.create(name=name)
    Stock.objects.create(warehouse="w", article=1)
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"], paused=True)
    made, _ = service.put(consumer, "main", wish)
    Failure.objects.create(
        subscription=made, version=7, model="shop.customer", op="I", item='{"version":7}', attempts=1, error="no"
    )
    return token


@pytest.fixture
def call(rich):
    client = Client(raise_request_exception=False)

    def send(method, path, body=None, kind="application/json", token=rich):
        headers = {"Authorization": f"Bearer {token}"}
        return client.generic(method, BASE + path, data=body or b"", content_type=kind, headers=headers)

    return send


def problem(answer):
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.content)
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.json()


CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
EXAMPLES = 5
"""Of each operation in each mode."""


def operations(token):
    """Give all operations of the document as schemathesis reads it from the running application."""
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_wsgi(f"{BASE}openapi.json", get_wsgi_application(), headers=headers)
    for found in schema.get_all_operations():
        yield found.ok()


def exchange(operation, mode, token, checks):
    """Send calls that hypothesis generates from the operation's schema or against it; check each answer."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=checks)

    with contextlib.suppress(Unsatisfiable):  # an operation without arguments has no wrong ones
        run()


def test_every_call_gets_an_answer_that_the_document_knows(rich):
    load_all_checks()
    met = set()
    with override_settings(**{NAME: {**suite.PUBSUBPULL, "WAIT_LIMIT": 0.01}}):
        for operation in operations(rich):
            state = operation.path.endswith("/health/")  # where 503 is how the service says that it is not well
            checks = schemathesis.checks.CHECKS.get_by_names(CHECKS[1:] if state else CHECKS)
            for mode in MODES:
                exchange(operation, mode, rich, checks)
            met.add((operation.method.upper(), operation.path.removeprefix(BASE)))
    assert met == set(routes())
    assert Customer.objects.count() == 2


# Each route, with another consumer's object to ask for. A route missing here fails the test below.
OTHERS = {
    "": None,
    "keys/": None,
    "changes/": None,
    "health/": None,
    "metrics/": None,
    "asyncapi.json": None,
    "models/{model}/": 404,
    "models/{model}/instances/": 404,
    "models/{model}/ranges/": 404,
    "models/{model}/bounds/": 404,
    "models/{model}/hashes/": 404,
    "models/{model}/hashes/rows/": 404,
    "models/{model}/rows/": 404,
    "models/{model}/instances/{key}/": 404,
    "models/{model}/audit/{key}/": 404,
    "requests/{request_id}/": 404,
    "subscriptions/": None,
    "subscriptions/{name}/": 404,
    "subscriptions/{name}/failures/": 404,
    "subscriptions/{name}/failures/{failure}/": 404,
}
"""What a consumer is answered who asks for what is another's: 404, as if it were not there. None: it names nothing."""


STATES = {"health/", "metrics/"}
"""What says that the service is not well by its status."""


def fill(path, failure=1):
    values = {
        "{model}": "shop.customer",
        "{key}": str(Customer.objects.first().pk),
        "{request_id}": str(REQUEST),
        "{name}": "main",
        "{failure}": str(failure),
    }
    for name, value in values.items():
        path = path.replace(name, value)
    return path


REQUEST = uuid.UUID(int=7)
QUERIES = {"hashes/": "?bounds=[null,null]", "rows/": "?wanted=[]", "bounds/": "?each=10"}
WISH = json.dumps({"callback": "http://127.0.0.1:9/", "models": ["shop.customer"]})


def test_every_route_is_in_the_table_of_owners():
    assert {path for _, path in routes()} == set(OTHERS)


@pytest.fixture
def stranger(rich):
    """Make a consumer that may audit and subscribe, but read another model; return its token."""
    with pubsubpull.context(source="test"):
        Customer.objects.update(name="c")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pubsubpull_request SET id = %s", [REQUEST])
        cursor.execute("UPDATE pubsubpull_change SET request_id = %s WHERE request_id IS NOT NULL", [REQUEST])
    return consumers.add("stranger", ["shop.order"], may_audit=True, may_subscribe=True)[1]


def ask(call, method, path, token):
    failure = Failure.objects.get().pk
    query = next((query for end, query in QUERIES.items() if path.endswith(end)), "") if method == "GET" else ""
    return call(method, fill(path, failure) + query, WISH if method == "PUT" else None, token=token)


def test_another_consumers_object_is_not_found(call, rich, stranger):
    before = Subscription.objects.values().get(), Failure.objects.values().get()
    for method, path in sorted(routes()):
        answer = ask(call, method, path, stranger)
        assert b"psp_" not in answer.content
        assert b"token_hash" not in answer.content
        if method == "PUT" and path == "subscriptions/{name}/":
            assert answer.status_code == 400, "it may not subscribe to what it may not read"
        elif OTHERS[path]:
            assert answer.status_code == OTHERS[path], (method, path, answer.content)
        else:
            assert b"shop.customer" not in answer.content, (method, path)
            assert b'"main"' not in answer.content, (method, path)
    assert (Subscription.objects.values().get(), Failure.objects.values().get()) == before


def test_each_object_is_found_by_its_owner(call, rich, stranger):
    for method, path in sorted(routes(), reverse=True):  # PUT, GET, and DELETE last
        if method != "DELETE":
            assert ask(call, method, path, rich).status_code < 300 or path in STATES, (method, path)


def test_the_same_name_is_another_subscription_for_another(call, rich, stranger):
    wish = json.dumps({"callback": "http://127.0.0.1:9/", "models": ["shop.order"]})
    assert call("PUT", "subscriptions/main/", wish, token=stranger).status_code == 201
    assert call("DELETE", "subscriptions/main/", token=stranger).status_code == 204
    assert Subscription.objects.get().consumer.name == "rich"


PLACES = [
    (method, path, name)
    for method, path in sorted(routes())
    for name in [*re.findall(r"{(\w+)}", path), *(p["name"] for p in routes()[method, path].get("parameters", []))]
]


def test_sql_and_odd_bytes_in_every_parameter_do_nothing(call):
    hashed = Consumer.objects.get().token_hash.encode()
    for evil, (method, path, name) in itertools.product([*map(quote, SQL), *ODD], PLACES):
        inside = f"{{{name}}}" in path
        address = fill(path.replace(f"{{{name}}}", evil)) if inside else f"{fill(path)}?{name}={evil}"
        answer = call(method, address, WISH if method == "PUT" else None)
        fine = answer.status_code < 300 or answer.status_code in {400, 401, 404, 405, 410} or path in STATES
        assert fine, (method, address, answer.status_code, answer.content)
        assert "X-Injected" not in answer.headers
        assert hashed not in answer.content
    assert Customer.objects.count() == 2


BODIES = [
    b"",
    b"\x00",
    b"\xff\xfe{}",
    b"null",
    b"[]",
    b"1e999",
    b'"text"',
    b"{" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"callback":' * 5000 + b"1" + b"}" * 5000,
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "batch": ' + b"9" * 5000 + b"}",
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "batch": 1e400}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "batch": NaN}',
    b'{"callback": "http://127.0.0.1:9/\\ud800", "models": ["shop.customer"]}',
    b'{"callback": "http://127.0.0.1:9/\\u0000", "models": ["shop.customer"]}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer\\u0000"]}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["\\ud800"]}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "secret": "\\ud800"}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "after": "\\ud800"}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "\\ud800": 1}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "__proto__": {}}',
    b'{"callback": "http://169.254.169.254/", "callback": "http://127.0.0.1:9/", "models": "shop.customer"}',
    b'{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "callback": "http://169.254.169.254/"}',
]
KINDS = [
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "x/y; charset=no",
]


def test_an_invalid_subscription_is_refused_for_any_content_type(call):
    there = Subscription.objects.values().get()
    for kind, body in itertools.product(KINDS, BODIES):
        problem(call("PUT", "subscriptions/main/", body, kind))
    assert Subscription.objects.values().get() == there


numbers = st.integers(min_value=0, max_value=2**62) | st.integers(min_value=0, max_value=5000)


@st.composite
def snapshots(draw):
    xmin = draw(numbers.filter(bool))
    running = tuple(sorted(draw(st.sets(st.integers(xmin, min(xmin + 50, 2**63 - 2)), max_size=5))))
    return Snapshot(
        xmin=xmin, xmax=draw(st.integers((running[-1] + 1) if running else xmin, 2**63 - 1)), running=running
    )


@st.composite
def cursors(draw):
    """Give cursors that decode, of states that this log has, may have, and cannot have."""
    seq = draw(numbers)
    window = None
    if draw(st.booleans()):
        high = draw(numbers)
        window = Window(
            seq=high,
            floor=draw(st.integers(0, high)),
            snapshot=draw(snapshots()),
            last=draw(numbers),
            top=draw(numbers),
        )
    return Cursor(
        history=draw(st.sampled_from([1, 1, 1, 0, 2, 2**63 - 1])),
        tick=draw(numbers),
        seq=seq,
        floor=draw(st.integers(0, seq)),
        snapshot=draw(snapshots()),
        window=window,
    )


WORST = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=80, **WORST)
@given(cursor=cursors())
def test_a_forged_cursor_never_fails_and_never_shows_ungranted_models(call, stranger, cursor):
    answer = call("GET", f"changes/?after={cursor.encode()}&limit=10", token=stranger)
    assert answer.status_code in {200, 400, 410}, (cursor, answer.content)
    assert b"shop.customer" not in answer.content
    if answer.status_code == 200:
        assert answer.json()["items"] == []


@settings(max_examples=60, **WORST)
@given(text=st.text(alphabet="ABCDEFabcdef0123456789-_", min_size=1, max_size=60) | st.binary(min_size=1, max_size=60))
def test_any_text_as_a_cursor_is_refused_wherever_one_is_taken(call, text):
    given_ = quote(text)
    for path in (f"changes/?after={given_}", f"models/shop.customer/instances/?cursor={given_}"):
        assert call("GET", path).status_code in {400, 410}, path
    if isinstance(text, str):
        wish = json.dumps({"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "after": text})
        assert call("PUT", "subscriptions/other/", wish).status_code in {400, 410}
    assert not Subscription.objects.filter(name="other").exists()


@settings(max_examples=40, **WORST)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_cursor_with_changed_bytes_never_fails_and_never_shows_ungranted_models(call, stranger, flips):
    encoded = feed.present().cursor().encode()
    data = bytearray(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    for place, change in flips:
        data[place % len(data)] ^= change
    text = base64.urlsafe_b64encode(bytes(data)).rstrip(b"=").decode()
    answer = call("GET", f"changes/?after={text}", token=stranger)
    assert answer.status_code in {200, 400, 410}
    assert b"shop.customer" not in answer.content
