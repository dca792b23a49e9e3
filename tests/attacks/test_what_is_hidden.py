"""Excluded and masked values are in no answer; a consumer has nothing of a model that it was not granted."""

from __future__ import annotations

import itertools
import json
import re
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

import pubsubpull
from pubsubpull.models import ReplicaState
from pubsubpull.pull import consumers
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/pubsubpull/"
EXCLUDED, MASKED, OPEN = "excluded-51f0", "masked-77aa", "open-93bd"
ALL = {"may_audit": True, "may_subscribe": True, "may_monitor": True}


def patterns(resolver, before=""):
    """Return each address of the API that Django knows, documented or not."""
    for pattern in resolver.url_patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        elif isinstance(pattern, URLPattern) and path.startswith("pubsubpull/"):
            yield path.removeprefix("pubsubpull/")


ROUTES = sorted({path for path in patterns(get_resolver("tests.urls")) if path and not path.startswith("^")})
QUERIES = {
    "": [""],
    "hashes/": [
        "",
        f"?where={quote(json.dumps({'internal_note': [EXCLUDED]}))}",
        "?columns=internal_note",
        "?columns=card",
    ],
    "hashes/rows/": ["", f"?where={quote(json.dumps({'internal_note': [EXCLUDED]}))}", "?columns=internal_note"],
    "rows/": ["?wanted=KEYS"],
    "instances/": ["", "?newest=true", "?limit=1"],
    "audit/<key>/": ["", "?column=internal_note", "?column=card", "?format=csv", "?format=ndjson", f"?user={EXCLUDED}"],
    "changes/": ["", "?old=false", "?compact=true", "?models=shop.order"],
    "instances/<key>/": ["", "?at=NOW"],
    "requests/<request_id>/": ["", "?format=csv", "?format=ndjson"],
}


@pytest.fixture
def order():
    with pubsubpull.context(source="test") as context:
        made = Order.objects.create(reference=OPEN, internal_note=EXCLUDED, card=MASKED)
        Order.objects.update(reference=OPEN + "2", internal_note=EXCLUDED + "2", card=MASKED + "2")
        Customer.objects.create(name=OPEN)
    made.request = context.id
    return made


def addresses(order):
    """Give each address of each route, filled in for the order, with each query that it may have."""
    for route in ROUTES:
        path = bare = re.sub(r"<\w+:", "<", route)
        of_order = {"model": "shop.order", "key": str(order.pk), "request_id": str(order.request)}
        for name, value in (of_order | {"name": "main", "failure": "1"}).items():
            path = path.replace(f"<{name}>", value)
        assert "<" not in path, f"{route}: say above what its parameters are"
        ends = [end for end in QUERIES if end and bare.endswith(end)]
        for query in itertools.chain.from_iterable(QUERIES[end] for end in ends or [""]):
            now = quote(timezone.now().isoformat())
            yield route, path + query.replace("KEYS", quote(json.dumps([str(order.pk)]))).replace("NOW", now)


def ask(path, token):
    answer = Client(raise_request_exception=False).get(BASE + path, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, b"".join(answer)


def test_excluded_and_masked_values_are_in_no_answer(order):
    token = consumers.add("all", ["*"], **ALL)[1]
    seen = 0
    for _, path in addresses(order):
        status, body = ask(path, token)
        assert status < 500 or path in {"health/", "metrics/"}, (path, status)
        assert EXCLUDED.encode() not in body, path
        assert MASKED.encode() not in body, path
        seen += OPEN.encode() in body
    assert seen > 10, "what is neither is in many"


def test_conditions_and_columns_reveal_nothing_of_excluded_values(order):
    token = consumers.add("all", ["*"], **ALL)[1]
    for column, path in itertools.product(
        ("internal_note", "no_such", "INTERNAL_NOTE", "ctid", "xmin"), ("hashes/", "hashes/rows/")
    ):
        right = ask(f"models/shop.order/{path}?where={quote(json.dumps({column: [EXCLUDED + '2']}))}", token)
        wrong = ask(f"models/shop.order/{path}?where={quote(json.dumps({column: ['x']}))}", token)
        named = ask(f"models/shop.order/{path}?columns={column}", token)
        assert right == wrong
        assert right[0] == named[0] == 400
    for value in (MASKED + "2", "x"):
        body = ask(f"models/shop.order/hashes/?where={quote(json.dumps({'card': [value]}))}", token)[1]
        assert json.loads(body)["ranges"][0]["count"] == 0


GRANTS = {
    "none": ([], {}),
    "none but audit": ([], {"may_audit": True}),
    "monitor alone": ([], {"may_monitor": True}),
    "another model": (["shop.customer"], ALL),
    "another model, nothing else": (["shop.customer"], {}),
}


@pytest.mark.parametrize("grant", GRANTS)
def test_every_address_gives_nothing_of_a_model_that_was_not_granted(order, grant):
    models, may = GRANTS[grant]
    token = consumers.add("other", models, **may)[1]
    for route, path in addresses(order):
        status, body = ask(path, token)
        assert b"shop.order" not in body.replace(b"'shop.order' is not a model that you may read", b""), path
        assert f"{OPEN}2".encode() not in body, path
        if "<model>" in route or "<str:model>" in route:
            assert status in {403, 404}, (path, status)
        else:
            assert status in {200, 401, 403, 404, 405, 503}, (path, status)


SPELLINGS = [
    "SHOP.ORDER", "shop.Order", "shop.order ", " shop.order", "shop.order%00", "shop.order/", "shop%2eorder", "*",
    "./shop.order", "shop.order%2f", "shop.customer,shop.order", "shop.order;", "%73hop.order", "shop\uff0eorder",
]  # fmt: skip


def test_no_spelling_of_a_model_or_path_leads_to_an_ungranted_model(order):
    token = consumers.add("other", ["shop.customer"], **ALL)[1]
    ends = ["", "instances/", "ranges/", "bounds/", "hashes/", "hashes/rows/", f"rows/?wanted=[%22{order.pk}%22]",
            f"instances/{order.pk}/", f"audit/{order.pk}/"]  # fmt: skip
    for spelling, end in itertools.product(SPELLINGS, ends):
        for path in (
            f"models/{spelling}/{end}",
            f"models/shop.customer/../{spelling}/{end}",
            f"models//{spelling}/{end}",
        ):
            status, body = ask(path, token)
            assert status in {400, 403, 404}, (path, status)
            assert OPEN.encode() not in body
    for spelling in SPELLINGS:
        status, body = ask(f"changes/?models={quote(spelling)}", token)
        assert status in {400, 404}, spelling
        assert OPEN.encode() not in body


HEADS = [
    "", "Basic eDp5", "Bearer", "Bearer ", "Bearer\tTOKEN", "Bearer x TOKEN", "Token TOKEN", "Bearer TOKENx",
    "Bearer \x00", "Bearer " + "a" * 10_000, "Bearer \u2019", "bearer: TOKEN",
]  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_no_form_of_a_token_but_its_own_is_taken(order, head):
    token = consumers.add("all", ["*"], **ALL)[1]
    client = Client(raise_request_exception=False)
    headers = {"Authorization": head.replace("TOKEN", token)} if head else {}
    for _, path in addresses(order):
        answer = client.get(BASE + path, headers=headers)
        assert answer.status_code in {401, 404, 405}, (path, answer.status_code)
    assert client.get(f"{BASE}changes/?token={token}&access_token={token}").status_code == 401


def test_health_shows_a_replicas_refused_changes_only_to_monitoring_consumers():
    ReplicaState.objects.create(
        name="replicas.customer", service="shop", source="shop.customer", shape="x", attempts=1,
        failing_since=timezone.now(), last_error=f"invalid input syntax: {EXCLUDED}",
    )  # fmt: skip
    may, may_not = (consumers.add(name, [], may_monitor=name == "may")[1] for name in ("may", "not"))
    assert EXCLUDED.encode() in ask("health/", may)[1]
    status, body = ask("health/", may_not)
    assert status == 503
    assert EXCLUDED.encode() not in body
    assert b"failing since" in body
