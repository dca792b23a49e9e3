"""The pull API: the answer of each call, and its permissions."""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings
from django.urls import get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pubsubpull.log import feed, walk
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import changes, consumers
from tests.processes import until
from tests.sessions import session
from tests.shop.models import Customer, Event, Order, Quoted, Stock

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/pubsubpull/"


@pytest.fixture
def token():
    return consumers.add("all", ["*"], may_audit=True, may_subscribe=True)[1]


@pytest.fixture
def customers_only():
    return consumers.add("customers", ["shop.customer"])[1]


@pytest.fixture
def get(client, token):
    def call(path, status=200, token=token, **headers):
        address = path if path.startswith(("http", "/")) else BASE + path
        answer = client.get(address, headers={"Authorization": f"Bearer {token}", **headers})
        assert answer.status_code == status, answer.content
        return answer

    return call


def problem(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["type"].startswith("urn:pubsubpull:problem:")
    assert body["status"] == answer.status_code
    return body["type"].rsplit(":", 1)[1], body.get("field")


def now():
    return feed.present().cursor().encode()


def test_the_root_names_the_service_and_the_consumers_models(get, customers_only):
    body = get("").json()
    assert (body["service"], body["history"]) == ("shop", feed.present().history)
    assert "shop.order_tags" in [model["model"] for model in body["models"]]
    body = get("", token=customers_only).json()
    assert [model["model"] for model in body["models"]] == ["shop.customer"]
    assert get(body["models"][0]["url"], token=customers_only).json()["key"] == ["id"]


def test_a_model_tells_its_key_and_its_columns_without_the_excluded(get):
    body = get("models/shop.order/").json()
    columns = body["columns"]["properties"]
    assert body["key"] == ["id"]
    assert "internal_note" not in columns
    assert columns["card"] == {"const": "***"}
    assert columns["customer_id"] == {"type": ["integer", "null"]}
    assert columns["total"]["type"] == ["number", "string"]
    assert columns["placed"] == {"type": ["string", "null"], "format": "date-time"}
    assert get("models/shop.stock/").json()["key"] == ["warehouse", "article"]
    assert set(get("models/shop.restaurant/").json()["columns"]["properties"]) == {"place_ptr_id", "seats"}


def test_all_instances_come_by_key_in_pages_and_the_cursor_leads_to_later_changes(get):
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(7))
    page = get("models/shop.customer/instances/?limit=3").json()
    Customer.objects.create(name="late")
    cursor, seen = page["cursor"], list(page["items"])
    while page["next"]:
        page = get(page["next"]).json()
        assert page["cursor"] == cursor
        seen += page["items"]
    keys = [item["key"] for item in seen]
    assert keys == sorted(keys, key=int)
    assert len(seen) == 8
    assert seen[0]["data"]["name"] == "0"
    changed = get(f"changes/?after={cursor}").json()["items"]
    assert [item["new"]["name"] for item in changed] == ["late"]
    assert changed[0]["version"] == seen[-1]["version"]


def test_an_instances_version_is_its_latest_change_or_up_to_where_changes_are_gone(get):
    customer = Customer.objects.create(name="a")
    customer.name = "b"
    customer.save()
    last = json.loads(f"[{feed.page(None, limit=1000).items.decode()}]")[-1]["version"]
    assert get(f"models/shop.customer/instances/{customer.pk}/").json() == {
        "key": str(customer.pk),
        "version": last,
        "data": {"id": customer.pk, "name": "b", "email": ""},
    }
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change")
        cursor.execute("UPDATE pubsubpull_log SET dropped = %s", [last])
    url = f"models/shop.customer/instances/{customer.pk}/"
    assert get(url).json()["version"] == last
    Customer.objects.update(name="c")
    assert get(url).json()["version"] > last


def test_instances_hide_the_columns_the_log_hides(get):
    order = Order.objects.create(internal_note="hidden", card="4111")
    data = get(f"models/shop.order/instances/{order.pk}/").json()["data"]
    assert ("internal_note" in data, data["card"]) == (False, "***")


def test_composite_and_quoted_keys_are_found(get):
    for article in (1, 2, 10):
        Stock.objects.create(warehouse="a/b", article=article)
    found = get("models/shop.stock/instances/?limit=2").json()
    assert [item["key"] for item in found["items"]] == ['["a/b", 1]', '["a/b", 2]']
    assert [item["key"] for item in get(found["next"]).json()["items"]] == ['["a/b", 10]']
    key = quote('["a/b",10]', safe="")
    item = get(f"models/shop.stock/instances/{key}/").json()
    assert item["key"] == '["a/b", 10]'
    row = Quoted.objects.create(value="%s")
    assert get(f"models/shop.quoted/instances/{row.pk}/").json()["data"]["it's The Value"] == "%s"


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("shop.customer", "0"),
        ("shop.customer", "x"),
        ("shop.customer", "9" * 40),
        ("shop.customer", "%00"),
        ("shop.stock", "1"),
        ("shop.stock", "[1]"),
        ("shop.stock", '["w", "x"]'),
        ("shop.stock", '["w", true]'),
        ("shop.stock", "[" * 50),
    ],
)
def test_a_key_that_is_not_there_or_does_not_fit_is_not_found(get, model, key):
    assert problem(get(f"models/{model}/instances/{quote(key, safe='%')}/", 404)) == ("not-found", "key")


def test_changes_are_paged_from_the_start_from_now_and_after_a_cursor(get):
    cursor = get("changes/?after=now").json()
    assert (cursor["items"], cursor["more"]) == ([], False)
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(3))
    Order.objects.create()
    page = get(f"changes/?after={cursor['cursor']}&limit=2&models=shop.customer").json()
    assert ([item["new"]["name"] for item in page["items"]], page["more"]) == (["0", "1"], True)
    page = get(f"changes/?after={page['cursor']}&limit=2&models=shop.customer,shop.order").json()
    assert [item["model"] for item in page["items"]] == ["shop.customer", "shop.order"]
    first = get("changes/?models=shop.order&limit=1000").json()["items"][-1]
    assert set(first) == {"version", "transaction", "model", "key", "op", "at", "request", "old", "new"}
    assert first["at"].endswith("Z")


def test_a_consumer_may_leave_out_the_row_before_an_update(get):
    start = get("changes/?after=now").json()["cursor"]
    customer = Customer.objects.create(name="a")
    Customer.objects.update(name="b")
    customer.delete()
    url = f"changes/?models=shop.customer&after={start}"
    whole, lean = get(url).json()["items"], get(f"{url}&old=false").json()["items"]
    assert [item["old"] and item["old"]["name"] for item in whole] == [None, "a", "b"]
    assert [item["old"] and item["old"]["name"] for item in lean] == [None, None, "b"]
    assert [item["new"] for item in lean] == [item["new"] for item in whole]
    first = get(f"{url}&limit=1").json()
    assert first["more"]
    url = f"changes/?models=shop.customer&after={first['cursor']}"
    assert get(url).headers["ETag"] != get(f"{url}&old=false").headers["ETag"]


def test_a_page_between_two_snapshots_may_be_cached(get):
    start = now()
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(5))
    first = get(f"changes/?after={start}&limit=2")
    assert "ETag" not in first.headers
    address = f"changes/?after={first.json()['cursor']}&limit=2"
    second = get(address)
    assert get(address, 304, **{"If-None-Match": second.headers["ETag"]}).content == b""
    assert get(f"{address}&models=shop.customer").headers["ETag"] != second.headers["ETag"]


def test_a_call_that_waits_answers_as_soon_as_there_is_something():
    start = feed.present().cursor()
    time, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        time[0] += seconds
        if len(pauses) == 3:
            Customer.objects.create(name="awaited")

    page = changes.page(
        start, models=["shop.customer"], limit=10, wait=30, using="default", sleep=sleep, clock=lambda: time[0]
    )
    assert (page.count, len(pauses)) == (1, 3)
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("few", [True, False], ids=["few", "more than a page"])
def test_a_waiting_call_resumes_from_a_moment_without_writers(few):
    """Another session writes during the look: a small commit of it is found with the look itself."""
    looked, pauses = [], []
    until(lambda: looked.append(feed.present().cursor()) or looked[-1].settled)
    start = looked.pop()

    def noted(after, **given):
        looked.append((after, feed.poll(after, **given)))
        return looked[-1][1]

    with session() as writer:

        def sleep(_):
            pauses.append(1)
            if len(pauses) == 1:
                writer.execute("BEGIN")
                for n in range(1 if few else 11):
                    writer.execute("INSERT INTO shop_customer (name, email) VALUES (%s, '')", (str(n),))
            elif len(pauses) == 3:
                writer.execute("COMMIT")

        page = changes.page(
            start, models=["shop.customer"], limit=10, wait=60, using="default", sleep=sleep, poll=noted
        )
    afters, (_, found) = [after for after, _ in looked[-3:]], looked[-1][1]
    assert page.count == (1 if few else 10)
    assert afters == [start] * 3
    assert (found is not None) is few


def test_a_waiting_call_moves_to_the_next_moment_without_writers():
    """Of a quiet model: changes of other models up to then are not read again."""
    start, afters, pauses = feed.present().cursor(), [], []

    def noted(after, **given):
        afters.append(after)
        return feed.poll(after, **given)

    def sleep(_):
        pauses.append(1)
        if len(pauses) == 1:
            Order.objects.bulk_create(Order() for _ in range(feed.POLLED_IDS + 1))
        elif afters[-1].seq > start.seq and afters[-1].settled:
            Customer.objects.create(name="awaited")

    page = changes.page(start, models=["shop.customer"], limit=10, wait=60, using="default", sleep=sleep, poll=noted)
    assert page.count == 1


def test_a_waiting_call_reads_once_during_a_long_transaction(monkeypatch):
    """From the moment before it, there is something above at each look; from the latest look on there is not."""
    looked, sent, execute, passed = [], [], psycopg.ClientCursor.execute, itertools.count()
    until(lambda: looked.append(feed.present().cursor()) or looked[-1].settled)
    with session() as writer:
        writer.execute("BEGIN")
        writer.execute("INSERT INTO shop_customer (name, email) VALUES ('a', '')")
        Order.objects.create()
        present = feed.present()
        monkeypatch.setattr(psycopg.ClientCursor, "execute", lambda *of: sent.append(str(of[1])) or execute(*of))
        page = changes.page(
            looked[-1],
            models=["shop.customer"],
            limit=10,
            wait=10,
            using="default",
            sleep=lambda _: None,
            clock=lambda: next(passed),
            poll=lambda *_, **__: (present, None),
        )
        monkeypatch.undo()
        writer.execute("ROLLBACK")
    assert (page.count, page.cursor) == (0, present.cursor())
    assert sum("pg_visible_in_snapshot" in text for text in sent) == 1


def test_a_call_that_waits_does_not_pause_while_there_is_more_to_look_at():
    start = feed.present().cursor()
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(walk.SCAN + 1))
    Order.objects.create()
    page = changes.page(start, models=["shop.order"], limit=10, wait=30, using="default", sleep=pytest.fail)
    assert page.count == 1


def test_a_call_that_waits_in_vain_ends_in_time_and_moves_the_cursor_on():
    start = feed.present().cursor()
    Order.objects.create()
    time = [0.0]

    def sleep(seconds):
        time[0] += seconds

    page = changes.page(
        start, models=["shop.customer"], limit=10, wait=2, using="default", sleep=sleep, clock=lambda: time[0]
    )
    assert (page.count, page.more) == (0, False)
    assert page.cursor.seq > start.seq
    assert time[0] == pytest.approx(2)


def look_at_the_log():
    return feed.present(), None


def in_an_old_snapshot(act):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return act()


def elsewhere(act):
    """Act in another thread, with a connection of its own."""

    def run():
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result(60)


def waited(start, sleep):
    """Return the page of a call that pauses once."""
    clock = iter([0, 1, 60, 60, 60])
    wished = {"models": ["shop.customer"], "limit": 10, "wait": 30, "using": "default"}
    return changes.page(start, **wished, sleep=sleep, clock=lambda: next(clock))


def test_the_trail_shows_users_and_changes_newest_first(get, client):
    client.force_login(User.objects.create(username="ann"))
    client.get("/write/a/")
    customer = Customer.objects.get()
    customer.email = "b@x.org"
    customer.save()
    key = str(customer.pk)
    customer.delete()
    page = get(f"models/shop.customer/audit/{key}/?limit=2").json()
    older = get(page["next"]).json()
    entries = page["items"] + older["items"]
    assert [entry["op"] for entry in entries] == ["delete", "update", "insert"]
    assert entries[1]["changed"] == {"email": ["", "b@x.org"]}
    assert entries[2]["changed"]["name"] == [None, "a"]
    assert entries[0]["request"] is None
    request = entries[2]["request"]
    assert (request["user_name"], request["path"], request["status"]) == ("ann", "/write/a/", 201)
    whole = get(f"requests/{request['id']}/").json()
    assert whole["request"] == request
    assert [change["new"]["name"] for change in whole["changes"]] == ["a"]


def test_a_truncate_ends_the_trail_of_each_object_that_was_there(get):
    customer = Customer.objects.create(name="a")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE shop_customer CASCADE")
    items = get(f"models/shop.customer/audit/{customer.pk}/").json()["items"]
    assert [item["op"] for item in items] == ["truncate", "insert"]
    assert items[0]["changed"] == {}


def test_the_trail_needs_its_grant_and_shows_only_granted_models(get, client, customers_only):
    client.get("/write/a/")
    item = get("changes/").json()["items"][-1]
    assert problem(get(f"requests/{item['request']}/", 403, customers_only))[0] == "forbidden"
    assert problem(get(f"models/shop.customer/audit/{item['key']}/", 403, customers_only))[0] == "forbidden"
    orders = consumers.add("orders", ["shop.order"], may_audit=True)[1]
    assert problem(get(f"requests/{item['request']}/", 404, orders))[0] == "not-found"
    assert problem(get(f"models/shop.customer/audit/{item['key']}/", 404, orders))[0] == "not-found"
    assert problem(get(f"requests/{uuid.uuid4()}/", 404))[0] == "not-found"


def test_a_consumer_sees_only_granted_models(get, customers_only):
    Customer.objects.create(name="a")
    Order.objects.create()
    Customer.objects.create(name="b")
    models = {item["model"] for item in get("changes/", token=customers_only).json()["items"]}
    assert models == {"shop.customer"}
    unknown = get("changes/?models=shop.nothing", 404, customers_only)
    ungranted = get("changes/?models=shop.order", 404, customers_only)
    assert problem(unknown) == problem(ungranted) == ("not-found", "models")
    assert unknown.json()["detail"].replace("nothing", "order") == ungranted.json()["detail"]
    for path in ("models/shop.order/", "models/shop.order/instances/", "models/shop.order/instances/1/"):
        assert problem(get(path, 404, customers_only)) == ("not-found", "models")


PATHS = {
    "",
    "models/{model}/",
    "models/{model}/instances/",
    "models/{model}/ranges/",
    "models/{model}/rows/",
    "models/{model}/bounds/",
    "models/{model}/hashes/",
    "models/{model}/hashes/rows/",
    "keys/",
    "models/{model}/instances/{path:key}/",
    "models/{model}/audit/{path:key}/",
    "changes/",
    "requests/{request_id}/",
    "health/",
    "metrics/",
    "asyncapi.json",
}


def routes():
    """Return every pull route of the OpenAPI document."""
    from pubsubpull.urls import api

    return {path.removeprefix(BASE) for path in api.get_openapi_schema()["paths"] if "subscriptions" not in path}


def test_the_document_is_fit_for_generators():
    from pubsubpull.urls import api

    document = api.get_openapi_schema()
    named = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(named) == len(set(named))
    assert set(named) >= {"getChanges", "listInstances", "putSubscription"}
    assert document["servers"] == [{"url": "/"}]
    wish = document["components"]["schemas"]["SubscriptionSpec"]
    assert wish["required"] == ["callback", "models"]
    assert not [name for name, part in wish["properties"].items() if "default" in part]
    assert wish["properties"]["batch"]["description"] == "100 where it is not given."
    used = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}


def test_every_route_is_in_the_table_of_these_tests():
    assert routes() == {path.replace("path:", "") for path in PATHS}
    assert get_resolver().resolve(BASE + "changes/")


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer ", "Basic x", "Bearer psp_\udcff"])
@pytest.mark.parametrize("path", [*sorted(PATHS), "openapi.json", "docs"])
def test_without_a_token_every_route_says_no(client, path, header):
    address = BASE + path
    for name, value in {"{model}": "shop.customer", "{path:key}": "1", "{request_id}": str(uuid.uuid4())}.items():
        address = address.replace(name, value)
    answer = client.get(address, headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert problem(answer)[0] == "unauthorized"


def test_a_consumer_that_is_not_active_or_has_a_new_token_is_refused(get, token):
    consumer = consumers.authenticate(token)
    new = consumers.rotate(consumer)
    get("", 401)
    get("", token=new)
    consumer.active = False
    consumer.save()
    get("", 401, new)


def test_a_token_is_kept_as_a_hash_only(token):
    with connection.cursor() as cursor:
        cursor.execute("SELECT c::text FROM pubsubpull_consumer c")
        assert token not in str(cursor.fetchall())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("after=nonsense", "after"),
        ("after=%00", "after"),
        ("after=%ff", "after"),
        ("wait=-1", "wait"),
        ("wait=61", "wait"),
        ("wait=nan", "wait"),
        ("wait=x", "wait"),
    ],
)
def test_a_wrong_value_is_refused_by_name(get, query, field):
    assert problem(get(f"changes/?{query}", 400)) == ("invalid", field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("models/shop.customer/instances/?limit=0", "limit"),
        ("models/shop.customer/instances/?after=x", "after"),
        ("models/shop.customer/instances/?after=%00", "after"),
        ("models/shop.customer/instances/?cursor=x", "cursor"),
        ("models/shop.stock/instances/?after=1", "after"),
        ("models/shop.customer/audit/1/?before=0", "before"),
        (f"models/shop.customer/audit/1/?before={2**63}", "before"),
        ("requests/x/", "request_id"),
        (f"requests/{uuid.UUID(int=1)}/?after={2**63}", "after"),
    ],
)
def test_a_wrong_value_of_any_route_is_refused_by_name(get, path, field):
    assert problem(get(path, 400)) == ("invalid", field)


def test_a_nul_in_an_audited_key_is_not_found(get):
    assert problem(get("models/shop.customer/audit/%00/", 404)) == ("not-found", "key")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=40) | st.binary(min_size=1, max_size=40))
def test_any_text_as_a_cursor_is_refused_and_never_an_error(get, client, text, token):
    answer = client.get(f"{BASE}changes/?after={quote(text)}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in {400, 410}


def test_a_cursor_that_has_expired_says_how_to_go_on(get):
    cursor = Cursor.decode(now())
    other = dataclasses.replace(cursor, history=cursor.history + 1)
    answer = get(f"changes/?after={other.encode()}", 410)
    assert problem(answer) == ("cursor-expired", "after")
    assert "Read all instances" in answer.json()["detail"]


def test_other_methods_and_other_addresses_are_problems_too(client, token, get):
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)(BASE + "changes/", headers={"Authorization": f"Bearer {token}"})
        assert problem(answer)[0] == "method-not-allowed"
        assert answer.headers["Allow"] == "GET"
    assert problem(get("nothing/here", 404))[0] == "not-found"


def test_a_database_that_does_not_answer_is_a_503(get):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pubsubpull_alive SET database = 1")
        cursor.execute("UPDATE pubsubpull_history SET database = 1")
        cursor.execute("ALTER FUNCTION pubsubpull_begin_history SET lock_timeout = '10ms'")
    from tests.sessions import session

    try:
        with session() as other:
            other.execute("BEGIN")
            other.execute("INSERT INTO shop_customer (name, email) VALUES ('a', '')")
            answer = get("changes/", 503)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER FUNCTION pubsubpull_begin_history SET lock_timeout = '200ms'")
    assert problem(answer)[0] == "unavailable"
    assert answer.headers["Retry-After"] == "1"


def test_the_documentation_is_shown_to_users_the_setting_names(client, get):
    schema = get("openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    assert "swagger" in get("docs").content.decode().lower()
    client.force_login(User.objects.create(username="staff", is_staff=True))
    assert client.get(BASE + "openapi.json").status_code == 200
    client.logout()
    with override_settings(PUBSUBPULL={"DOCS": "public"}):
        assert client.get(BASE + "docs").status_code == 200
    with override_settings(PUBSUBPULL={"DOCS": "off"}):
        assert problem(get("docs", 404))[0] == "not-found"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("changes/?wrong=now", "after"),
        ("models/shop.order/instances/?limit=1&wrong=1", "after"),
        ("models/shop.order/instances/1/?wrong=2026-01-01T00:00:00Z", "at"),
        ("models/shop.order/audit/1/?wrong=email", "column"),
        ("models/shop.order/ranges/?wrong=2", "parts"),
        (f"requests/{uuid.UUID(int=1)}/?wrong=csv", "format"),
    ],
)
def test_a_parameter_that_is_misspelt_is_refused_and_does_not_show_something_else(get, path, meant):
    answer = get(path, 400)
    assert problem(answer) == ("invalid", "wrong")
    names = answer.json()["detail"].partition("there are ")[2].rstrip(".").split(", ")
    assert meant in names
    assert not {"request", "model", "key", "request_id"} & set(names)


def test_the_command_adds_lists_renews_and_removes(capsys, get):
    def call(*args):
        call_command("pubsubpull_consumer", *args)
        return capsys.readouterr().out.strip()

    token = call("add", "billing", "--models", "shop.order, Shop.Customer", "--audit", "--subscribe")
    assert len(get("", token=token).json()["models"]) == 2
    assert "billing: shop.customer, shop.order audit subscribe" in call("list")
    with pytest.raises(CommandError, match="shop.nothing is not published"):
        call("add", "x", "--models", "shop.nothing")
    with pytest.raises(CommandError, match="already"):
        call("add", "billing", "--models", "*")
    assert call("revoke", "billing", "--models", "shop.order", "--audit") == "billing: shop.customer subscribe"
    assert len(get("", token=token).json()["models"]) == 1
    assert call("grant", "billing", "--models", "Shop.Place,shop.customer", "--monitor", "--audit") == (
        "billing: shop.customer, shop.place audit subscribe monitor"
    )
    with pytest.raises(CommandError, match="shop.nothing is not published"):
        call("grant", "billing", "--models", "shop.nothing")
    with pytest.raises(CommandError, match="shop.order is not granted to billing, but shop.customer, shop.place"):
        call("revoke", "billing", "--models", "shop.order,shop.place")
    with pytest.raises(CommandError, match="Name what to change: --models"):
        call("grant", "billing")
    with pytest.raises(CommandError, match="no consumer nobody"):
        call("grant", "nobody", "--models", "*")
    assert "billing: shop.customer, shop.place audit subscribe monitor" in call("list")
    new = call("rotate", "billing")
    get("", 401, token)
    get("", token=new)
    assert call("remove", "billing") == "billing is removed, with its subscriptions."
    get("", 401, new)
    with pytest.raises(CommandError, match="no consumer billing"):
        call("remove", "billing")
    call("remove", "all")
    assert call("list") == "There are no consumers. `add` makes one."


def test_the_keys_of_the_ranges_share_out_all_rows(get):
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(100))
    found = get("models/shop.customer/ranges/?parts=4").json()
    assert (found["rows"], len(found["keys"])) == (100, 3)
    bounds = [None, *found["keys"], None]
    seen = []
    for begin, end in itertools.pairwise(bounds):
        query = "&".join(f"{name}={key}" for name, key in (("after", begin), ("until", end)) if key)
        page = get(f"models/shop.customer/instances/?limit=20&{query}").json()
        seen.append([item["key"] for item in page["items"]])
        while page["next"]:
            page = get(page["next"]).json()
            seen[-1] += [item["key"] for item in page["items"]]
    assert [len(part) for part in seen] == [25, 25, 25, 25]
    assert sorted(itertools.chain(*seen)) == sorted(str(key) for key in Customer.objects.values_list("id", flat=True))
    assert get("models/shop.stock/ranges/").json()["keys"] == []
    get("models/shop.customer/ranges/?parts=0", 400)


def test_a_large_table_is_shared_out_by_a_sample_though_it_was_never_analyzed(get):
    """A partitioned one, too, of which PostgreSQL keeps no size."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # without its triggers
        cursor.execute(
            "INSERT INTO shop_event SELECT 'r' || n % 2, n, repeat('x', 230) FROM generate_series(1, 60000) n"
        )
    found = get("models/shop.event/ranges/?parts=8").json()
    assert found["rows"] != 60_000  # it was not counted
    assert 45_000 < found["rows"] < 90_000
    keys = [json.loads(key) for key in found["keys"]]
    shares = [
        Event.objects.filter(region=region, number__lte=number).count() + (30_000 if region == "r1" else 0)
        for region, number in keys
    ]
    assert shares == pytest.approx([7_500 * n for n in range(1, 8)], rel=0.2)
