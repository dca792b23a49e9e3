"""A worker among receivers that mean harm: its memory stays flat, and the others are served."""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import ssl
import statistics
import time

import pytest
import trustme

from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.acceptance.test_delivery import Workers, add, until
from tests.hostile import WAYS, endlessly, hostile
from tests.receivers import Receiver, serving

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
GROWTH = 24
"""How much more memory the worker may have at its peak than before it met them, in MB.

Measured: 8, and 149 without the bounds on what an answer may be.
"""
SLOW = 2.0
"""How late a change may reach who is served, in seconds, when the machine itself is busy."""


def memory(process, field):
    """Return a process's memory as Linux reports it, in MB."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


@pytest.fixture
def workers(tmp_path):
    found = Workers(tmp_path)
    try:
        yield found
    finally:
        found.stop()


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="memory is measured on Linux")
def test_memory_stays_flat_and_the_others_are_served(workers, record_property):
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]

    def subscribe(name, url):
        service.put(consumer, name, service.SubscriptionSpec(callback=url, models=["shop.customer"]))

    with contextlib.ExitStack() as stack:
        good = stack.enter_context(serving(Receiver()))
        came = {}
        good.answer = lambda page: (
            came.update({item["new"]["name"]: time.monotonic() for item in page["items"]}),
            (204, {}, b""),
        )[-1]
        subscribe("good", good.url)
        # All of them are tried again and again: the breaker would spare the worker most of it.
        worker = workers.start(READ_TIMEOUT=0.5, CONNECT_TIMEOUT=0.5, BREAKER_FAILURES=1_000_000)
        add(*(f"before {n}" for n in range(20)))
        good.wait(lambda _: len(came) == 20)
        before = memory(worker, "VmRSS")
        servers = {name: stack.enter_context(hostile(way)) for name, way in WAYS.items()}
        for name, server in servers.items():
            subscribe(name, f"http://127.0.0.1:{server.port}/")
        until(lambda: Subscription.objects.filter(worker__isnull=True).count() == 0)
        sent = {}
        for n in range(60):
            sent[f"among them {n}"] = time.monotonic()
            add(f"among them {n}")
            good.wait(lambda _, n=n: f"among them {n}" in came)
        until(lambda: all(server.count >= 2 for server in servers.values()))
        late = sorted(came[name] - began for name, began in sent.items())
        peak = memory(worker, "VmHWM")
    record_property("memory before, peak (MB)", (round(before, 1), round(peak, 1)))
    record_property("latency median, slowest (s)", (round(statistics.median(late), 3), round(late[-1], 3)))
    assert peak - before < GROWTH
    assert statistics.median(late) < SLOW
    assert worker.poll() is None
    taken = {"endless-tiny-chunks"}  # its answer is a 200
    for one in Subscription.objects.exclude(name__in=["good", *taken]):
        assert one.state == "failing", one
        assert one.last_error, one
    assert "169.254" not in worker.log()
    assert "Traceback" not in worker.log()


def test_an_address_no_longer_allowed_gets_nothing_more(workers):
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]
    with serving(Receiver()) as receiver:
        urls = [receiver.url, receiver.url.replace("127.0.0.1", "localhost")]
        for number, url in enumerate(urls):
            service.put(consumer, f"n{number}", service.SubscriptionSpec(callback=url, models=["shop.customer"]))
        workers.start(CALLBACK_ADDRESSES=[], CALLBACK_HOSTS=[])
        add("a")
        until(lambda: Subscription.objects.filter(state="failing").count() == len(urls))
        assert not receiver.came
    for one in Subscription.objects.all():
        assert "loopback" in one.last_error
        assert "CALLBACK_ADDRESSES" in one.last_error


class Closing(ssl.SSLSocket):
    """Closes itself: one whose other side went before it could be wrapped is left open by ssl."""

    def __del__(self):
        self.close()


def handshake(context):
    """Answer over TLS."""
    context.sslsocket_class = Closing

    def answer(connection):
        connection.settimeout(20)
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            secure.recv(1)

    return answer


def issued(authority, *names, **given):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **given).configure_cert(context)
    return context


def test_tls_that_cannot_be_trusted_is_a_failure_that_says_so_and_nothing_is_sent(workers, tmp_path, monkeypatch):
    known, unknown = trustme.CA(), trustme.CA()
    known.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    ways = {
        "trusted": handshake(issued(known, "localhost")),
        "of an unknown authority": handshake(issued(unknown, "localhost")),
        "of another host": handshake(issued(known, "billing.example")),
        "expired": handshake(issued(known, "localhost", not_after=past)),
        "without tls": WAYS["junk"],
        "a handshake that hangs": WAYS["never-answering"],
        "a handshake without end": endlessly(b"\x16\x03\x03\xff\xff", b"x"),
        "records of junk": endlessly(b"", b"\x16\x03\x03\x40\x00" + b"x" * 0x4000),
    }
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]
    with contextlib.ExitStack() as stack:
        for name, way in ways.items():
            port = stack.enter_context(hostile(way)).port
            wish = service.SubscriptionSpec(callback=f"https://localhost:{port}/?t=hidden", models=["shop.customer"])
            service.put(consumer, name.replace(" ", "-"), wish)
        worker = workers.start(READ_TIMEOUT=0.5, CONNECT_TIMEOUT=0.5)
        add("a")
        until(lambda: Subscription.objects.filter(attempts__gt=0).count() == len(ways) - 1)
        until(lambda: Subscription.objects.get(name="trusted").delivered == 1)
    errors = dict(Subscription.objects.values_list("name", "last_error"))
    for name in ("of-an-unknown-authority", "of-another-host", "expired"):
        assert "certificate was not accepted" in errors[name]
    assert errors.pop("trusted") == ""
    assert all(errors.values())
    assert not any("hidden" in error for error in errors.values())
    assert "hidden" not in worker.log()
