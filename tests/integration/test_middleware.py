"""The request of a change: its user, its address and its end."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import AsyncClient, Client, RequestFactory, override_settings

from pubsubpull.audit.context import requests
from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change

pytestmark = pytest.mark.django_db(transaction=True)


def one_request():
    (request,) = Request.objects.all()
    assert set(Change.objects.filter(model="shop.customer").values_list("request_id", flat=True)) == {request.id}
    return request


@pytest.mark.parametrize("address", ["/write/a/", "/stream/a/"])
def test_a_change_names_its_request_its_user_and_how_it_ended(client, address):
    user = User.objects.create(username="ann")
    client.force_login(user)
    answer = client.get(address, headers={"User-Agent": "browser", "X-Request-ID": "r-1"}, REMOTE_ADDR="192.0.2.7")
    list(answer) if answer.streaming else None
    answer.close()
    found = one_request()
    assert (found.method, found.path, found.source) == ("GET", address, "http")
    assert (found.user_id, found.user_name) == (str(user.pk), "ann")
    assert (found.ip, found.user_agent, found.correlation_id) == ("192.0.2.7", "browser", "r-1")
    assert (found.status, found.metadata) == (answer.status_code, {})
    assert 0 < found.duration < 60
    assert found.id.version == 7
    if address == "/write/a/":
        assert found.route == "write"


@pytest.mark.parametrize("address", ["/write-later/a/", "/stream-later/a/"])
def test_an_asynchronous_view_and_an_asynchronous_stream_are_followed_too(address):
    async def call():
        answer = await AsyncClient().get(address)
        if answer.streaming:
            assert [chunk async for chunk in answer] == [b"a", b"b"]
        await sync_to_async(answer.close)()
        await sync_to_async(connections.close_all)()
        return answer.status_code

    status = asyncio.run(call())
    assert (one_request().path, status) == (address, 200 if "stream" in address else 201)


def test_a_request_that_changes_nothing_writes_nothing(client):
    client.get("/read/")
    client.get("/nowhere/")
    assert not Request.objects.exists()


def test_a_failing_view_is_recorded_with_its_committed_changes(client):
    client.raise_request_exception = False
    assert client.get("/fail/a/").status_code == 500
    assert one_request().status == 500


def test_the_user_that_is_known_when_the_change_is_written_is_the_one_recorded(client):
    User.objects.create(username="token")
    client.get("/late-user/a/")
    assert one_request().user_name == "token"


def test_a_user_that_cannot_be_read_is_logged_and_fails_no_write(client, caplog):
    assert client.get("/broken-user/a/").status_code == 200
    assert one_request().user_name is None
    assert "the user of a change cannot be read: ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_two_users_at_once_are_kept_apart():
    clients = {}
    for name in ("ann", "bob"):
        clients[name] = AsyncClient()
        clients[name].force_login(User.objects.create(username=name))

    async def both():
        await asyncio.gather(*(client.get(f"/write-later/{name}/") for name, client in clients.items()))
        await sync_to_async(connections.close_all)()

    asyncio.run(both())
    users = dict(Request.objects.values_list("id", "user_name"))
    changes = Change.objects.filter(model="shop.customer")
    assert sorted((c.new["name"], users[c.request_id]) for c in changes) == [("ann", "ann"), ("bob", "bob")]


@pytest.mark.parametrize("address", ["/write/a%00b/", "/write/%ED%A0%80/"])
def test_a_hostile_address_or_header_fails_no_write(client, address):
    client.raise_request_exception = False
    client.get("/write/fine/?x=%00", headers={"User-Agent": "x\0\udcff" * 50_000, "X-Request-ID": "\0"})
    found = one_request()
    assert len(found.user_agent) == 2000
    assert "\0" not in found.user_agent
    client.get(address)


@pytest.mark.parametrize("given", [{"PAGE_LIMT": 5}, {"DATABASE": "nowhere"}, {"TRUSTED_PROXIES": "x"}, ["no dict"]])
def test_wrong_settings_fail_no_write_and_lose_no_request(client, given):
    with override_settings(PUBSUBPULL=given):
        assert client.get("/write/a/").status_code == 201
    assert one_request().status == 201


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "127.0.0.1"),
        (1, "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        (2, "6.6.6.6, 198.51.100.1, 203.0.113.5", "198.51.100.1"),
        (2, "203.0.113.5", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        ("wrong", "203.0.113.5", "127.0.0.1"),
    ],
)
def test_the_client_address_is_the_one_seen_by_the_outermost_trusted_proxy(proxies, forwarded, expected):
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})
    with override_settings(PUBSUBPULL={"TRUSTED_PROXIES": proxies}):
        assert requests.ip(request) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        (
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ),
        ({"traceparent": "00-short-00-01"}, None),
        ({"traceparent": "x"}, None),
        ({"X-Request-ID": "a", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "a"),
    ],
)
def test_the_correlation_id_is_the_callers_or_the_traces(headers, expected):
    assert requests.correlation_id(RequestFactory().get("/", headers=headers)) == expected


def test_how_a_request_ended_is_not_worth_an_error(client, caplog):
    with connection.cursor() as cursor:
        cursor.execute("ALTER FUNCTION pubsubpull_finish_request RENAME TO gone")
    try:
        assert client.get("/write/a/").status_code == 201
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER FUNCTION gone RENAME TO pubsubpull_finish_request")
    assert one_request().status is None
    assert "is not noted: ProgrammingError" in caplog.text


def test_a_transaction_that_must_be_rolled_back_is_left_alone():
    from django.db import transaction

    made = requests.opened(RequestFactory().get("/"))
    made.was_written("default")
    with transaction.atomic():
        transaction.set_rollback(True)
        requests.finish(made, 200)
    assert Client().get("/read/").status_code == 200


def test_ids_sort_by_time():
    from pubsubpull.audit.context.contexts import uuid7

    one = uuid7(0x0123456789AB, b"\xff" * 10)
    assert one == uuid.UUID("01234567-89ab-7fff-bfff-ffffffffffff")
    assert uuid7(1) < uuid7(2)
