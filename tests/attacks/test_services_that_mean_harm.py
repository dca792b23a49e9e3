"""The client against services that mean harm: bytes, time and nesting have bounds, and the token goes nowhere else."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import time

import pytest

from pubsubpull import exceptions
from pubsubpull.pull import client_calls
from pubsubpull.pull.client import Client
from tests import hostile

BOUND = 0.6
"""The time-out of a call, in seconds."""


@contextlib.contextmanager
def calling_service(way, **options):
    with hostile.hostile(way) as server, Client(f"http://127.0.0.1:{server.port}", "psp_token", **options) as client:
        yield client, server


def answer(status, *lines, body=b""):
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    return hostile.saying(head.encode() + body)


def dripping(beginning):
    def way(connection):
        hostile.ask(connection)
        for byte in itertools.chain(beginning, itertools.repeat(32)):
            connection.sendall(bytes([byte]))
            time.sleep(0.05)  # the attack itself, and nothing waits for it

    return way


@pytest.mark.parametrize("name", sorted(set(hostile.WAYS) - {"never-reading"}))
def test_every_answer_ends_within_the_time_out_and_raises_only_service_errors(name):
    began = time.monotonic()
    with calling_service(hostile.WAYS[name], timeout=BOUND, largest=10**6) as (client, _):
        with pytest.raises(exceptions.ServiceError):
            client.get("")
        with pytest.raises(exceptions.ServiceError):
            client.text("")
    assert time.monotonic() - began < 2 * BOUND + 5


@pytest.mark.parametrize(
    "way",
    [
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nX: "),
        answer("429 No", "Retry-After: 12"),
        answer("503 No", "Retry-After: 999999999999999999999"),
        answer("503 No", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
        answer("503 No", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "Date: Tue, 01 Dec 2026 00:00:00 GMT"),
        answer("503 No", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", "Date: none"),
        answer("503 No", "Retry-After: Fri, 99 Dec 99999 23:59:59 GMT"),
        answer("503 No", "Retry-After: 0"),
        answer("503 No", "Retry-After: -1"),
        answer("502 No"),
    ],
)
def test_waits_and_slow_bytes_end_with_the_time_out_all_tries_together(way):
    began = time.monotonic()
    with calling_service(way, timeout=BOUND) as (client, server), pytest.raises(exceptions.Unavailable):
        client.get("")
    assert time.monotonic() - began < BOUND + 2
    assert server.count <= client_calls.TRIES + 1


BOMBS = {"gzip": hostile.BOMB, "gzip, gzip": gzip.compress(gzip.compress(bytes(50_000_000), 9))}


@pytest.mark.parametrize("kind", BOMBS)
def test_an_answer_is_unpacked_to_so_many_bytes_and_no_more(kind):
    way = answer("200 OK", f"Content-Encoding: {kind}", body=BOMBS[kind])
    refused = pytest.raises(exceptions.ServiceError, match="more than 1000000 bytes")
    with calling_service(way, timeout=20, largest=10**6) as (client, _), refused:
        client.get("")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"items":' + b"9" * 10_000 + b"}",
        b'{"a": 1e99999999999999999999999}',
        b'{"a": NaN}',
        b"\xff\xfe",
        b'"\\ud800"',
        b"null",
    ],
)
def test_odd_bodies_are_read_or_refused(body):
    with calling_service(answer("200 OK", body=body), timeout=20) as (client, _):
        for ask in (client.get, client.text):
            with contextlib.suppress(exceptions.ServiceError):
                ask("")


def test_a_netrc_file_does_not_take_the_tokens_place(tmp_path, monkeypatch):
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(file))
    seen = []

    def way(connection):
        seen.append(connection.recv(65536))
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}')

    with calling_service(way, timeout=20) as (client, _):
        assert client.get("") == {"a": 1}
    with (
        hostile.hostile(way) as server,
        Client(f"http://a:b@127.0.0.1:{server.port}", "psp_token", timeout=20) as client,
    ):
        assert client.get("") == {"a": 1}
    assert [b"Authorization: Bearer psp_token\r\n" in head and b"Basic" not in head for head in seen] == [True, True]


def test_a_redirect_or_a_link_leads_the_token_nowhere():
    with hostile.hostile(answer("200 OK")) as elsewhere:
        away = f"http://127.0.0.1:{elsewhere.port}/"
        with calling_service(answer("307 T", f"Location: {away}"), timeout=20) as (client, _):
            with pytest.raises(exceptions.RequestRefused, match="not followed"):
                client.get("")
            for link in (away, "//127.0.0.1:9/", "/..//127.0.0.1:9/", "http://127.0.0.1@127.0.0.2/"):
                with pytest.raises(exceptions.ServiceError):
                    client.get(link)
        assert elsewhere.count == 0


def test_a_service_that_comes_back_within_the_time_out_is_answered_by():
    answers = iter([answer("503 No", "Retry-After: 0"), answer("200 OK", body=b'{"a":1}')])

    def way(connection):
        next(answers)(connection)

    with calling_service(way, timeout=20) as (client, server):
        assert client.get("") == {"a": 1}
    assert server.count == 2
