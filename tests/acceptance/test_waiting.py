"""Calls that wait: their resources, their limit, and their end; under gunicorn and under uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import socket
import statistics
import threading
import time

import aiohttp
import pytest
import requests
from django.db import connection

from pubsubpull.models import Consumer
from pubsubpull.pull import consumers
from tests import processes
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

NAME = "waiting-under-test"
MANY = 500


def environment(**settings):
    return {
        "DJANGO_SETTINGS_MODULE": "tests.delivery_settings",
        "PUBSUBPULL_SETTINGS": json.dumps(settings),
        "PGAPPNAME": NAME,
    }


@pytest.fixture(params=["gunicorn", "uvicorn"])
def serve(request, tmp_path):
    """Yield a function that serves under either server with some settings."""

    @contextlib.contextmanager
    def serving(**settings):
        if request.param == "uvicorn":
            with processes.uvicorn(tmp_path, **environment(**settings)) as (url, _):
                yield url
        else:
            with processes.gunicorn(tmp_path, threads=16, **environment(**settings)) as url:
                yield url

    return serving


def held_connections():
    """Return how many connections the service has."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME])
        return cursor.fetchone()[0]


def token_of(name, models=("*",)):
    return consumers.add(name, list(models))[1]


def get(url, token, timeout=60, **query):
    return requests.get(
        f"{url}/pubsubpull/changes/", params=query, headers={"Authorization": f"Bearer {token}"}, timeout=timeout
    )


class Call(threading.Thread):
    """A call that waits, in a thread of the test."""

    def __init__(self, url, token, **query):
        super().__init__(daemon=True)
        self.given = (url, token)
        self.query = {"after": get(url, token, after="now").json()["cursor"], "wait": 30, **query}
        self.answer = None

    def run(self):
        answer = get(*self.given, **self.query)
        while answer.status_code == 429:  # a call that only asks may have had the place
            answer = get(*self.given, **self.query)
        self.answer = answer


def waits(url, token):
    """Say whether one more call of a consumer may wait."""
    return get(url, token, after=get(url, token, after="now").json()["cursor"], wait=0.01).status_code == 200


def raw_call(url, token):
    """Open a connection with a call that waits on it; return the socket."""
    cursor = get(url, token, after="now").json()["cursor"]
    host, port = url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)))
    first = f"GET /pubsubpull/changes/?after={cursor}&wait=30 HTTP/1.1\r\n"
    opened.sendall(f"{first}Host: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return opened


def test_many_calls_that_wait_take_three_connections_at_most_and_no_threads(tmp_path):
    tokens = [token_of(f"reader {n}") for n in range(25)]
    with processes.uvicorn(tmp_path, **environment(WAITS=MANY)) as (url, process):

        def threads():
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text("utf-8")
            return int(status.split("Threads:")[1].split()[0])

        def typical():
            times = []
            for _ in range(15):
                began = time.monotonic()
                assert get(url, tokens[0], after="now").status_code == 200
                times.append(time.monotonic() - began)
            return statistics.median(times)

        alone, before = typical(), threads()
        cursor = get(url, tokens[0], after="now").json()["cursor"]

        async def call(session, token):
            headers = {"Authorization": f"Bearer {token}"}
            query = {"after": cursor, "wait": "55"}
            async with session.get(f"{url}/pubsubpull/changes/", params=query, headers=headers) as answer:
                return answer.status, (await answer.json())["items"]

        async def all_calls():
            timeout = aiohttp.ClientTimeout(total=120)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
                calls = [asyncio.create_task(call(session, tokens[n % 25])) for n in range(MANY)]
                seen = await asyncio.to_thread(look)
                found = await asyncio.gather(*calls)
                return seen, found

        def look():
            processes.until(lambda: established(url) >= MANY)
            # All have been asked for once, and wait: a page asks after them, and gets its turn.
            processes.until(lambda: held_connections() <= 3 and threads() - before <= 3)  # the last have begun to wait
            seen = {"connections": held_connections(), "threads": threads() - before, "typical": typical()}
            seen["connections"] = max(seen["connections"], held_connections())
            Customer.objects.create(name="come")
            connection.close()  # it is this thread's
            return seen

        seen, found = asyncio.run(all_calls())
    assert seen["connections"] <= 3
    assert seen["threads"] <= 3
    assert seen["typical"] < alone * 5 + 0.5
    assert {status for status, _ in found} == {200}
    assert all(items[0]["new"]["name"] == "come" for _, items in found)


def established(url):
    """Return how many connections the server at an address has."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = pathlib.Path("/proc/net/tcp").read_text("utf-8").splitlines()[1:]
    return sum(fields[1].endswith(port) and fields[3] == "01" for fields in map(str.split, lines))


def test_calls_that_wait_hold_no_connection(serve):
    token = token_of("reader")
    with serve(WAITS=12) as url:
        calls = [Call(url, token) for _ in range(10)]
        for call in calls:
            call.start()
        processes.until(lambda: not waits_more(url, token, 12, 10))
        processes.until(lambda: held_connections() <= 3)
        Customer.objects.create(name="come")
        for call in calls:
            call.join(30)
        assert [call.answer.json()["items"][0]["new"]["name"] for call in calls] == ["come"] * 10


def waits_more(url, token, most, there):
    """Say whether fewer than `there` calls of a consumer wait, where it may have `most`."""
    opened = [raw_call(url, token) for _ in range(most - there)]
    try:
        return get(url, token, after=get(url, token, after="now").json()["cursor"], wait=0.01).status_code != 429
    finally:
        for one in opened:
            one.close()


def test_a_consumer_may_have_so_many_calls_that_wait_and_others_are_not_held_up(serve):
    token, other = token_of("reader"), token_of("other")
    with serve(WAITS=2) as url:
        opened = [raw_call(url, token) for _ in range(2)]
        processes.until(lambda: not waits(url, token))
        answer = get(url, token, after=get(url, token, after="now").json()["cursor"], wait=5)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "1"
        assert "calls that wait" in answer.json()["detail"]
        began = time.monotonic()
        assert waits(url, other)
        assert time.monotonic() - began < 15, "not when the calls before it end, after 30 s"
        for one in opened:
            one.close()


def test_a_caller_that_has_gone_frees_its_place_at_once(serve):
    token = token_of("reader")
    with serve(WAITS=1) as url:
        opened = raw_call(url, token)
        processes.until(lambda: not waits(url, token))
        opened.close()
        began = time.monotonic()
        processes.until(lambda: waits(url, token))
        assert time.monotonic() - began < 15, "not when its call would have ended, after 30 s"


def remove(consumer):
    consumer.delete()


def rotate(consumer):
    consumers.rotate(consumer)


def deactivate(consumer):
    Consumer.objects.filter(pk=consumer.pk).update(active=False)


def narrow(consumer):
    Consumer.objects.filter(pk=consumer.pk).update(granted=["shop.order"])


def test_a_consumer_of_one_model_waits_only_for_that_model(serve):
    token = token_of("reader", ["shop.customer"])
    with serve() as url:
        call = Call(url, token, wait=2)
        call.start()
        call.join(60)
        assert call.answer.json()["items"] == []
        call = Call(url, token)
        call.start()
        Customer.objects.create(name="come")
        call.join(60)
        assert call.answer.json()["items"][0]["new"]["name"] == "come"


@pytest.mark.parametrize(("change", "status"), [(remove, 401), (rotate, 401), (deactivate, 401), (narrow, 404)])
def test_a_token_that_is_taken_away_or_narrowed_ends_its_waits(serve, change, status):
    token = token_of("reader", ["shop.customer", "shop.order"])
    with serve(WAITS=1) as url:
        call = Call(url, token, models="shop.customer")
        call.start()
        processes.until(lambda: not waits(url, token))
        change(Consumer.objects.get(name="reader"))
        Customer.objects.create(name="secret")
        call.join(60)
        assert call.answer.status_code == status, call.answer.text
        assert "secret" not in call.answer.text
