"""The transports: HTTP against a real server, and the recording one."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading

import pytest
from standardwebhooks import Webhook

from pubsubpull import conf, exceptions
from pubsubpull.delivery.worker import Worker
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.transports.base import Delivered, Key, Message, Retry, Target
from pubsubpull.transports.http.answers import outcome
from pubsubpull.transports.http.client import ANSWER_LIMIT, AiohttpClient
from pubsubpull.transports.http.guard import Guard
from pubsubpull.transports.recording import RecordingTransport
from pubsubpull.wire import signing
from tests import hostile
from tests.processes import SOCKETS, connected_to, until
from tests.receivers import Receiver, serving
from tests.shop.models import Order

LOOPBACK = Guard(addresses=(ipaddress.ip_network("127.0.0.0/8"),))


@pytest.fixture
def receiver():
    with serving(Receiver()) as found:
        yield found


def put(url, times=1, **given):
    """PUT through one transport, several times; return the last answer."""

    async def main():
        transport = AiohttpClient(**{"connect": 2, "read": 2, "guard": LOOPBACK, **given})
        try:
            for _ in range(times):
                answer = await transport.put(url, b'{"items": []}', {"webhook-id": "msg_1", "x-extra": "1"})
        finally:
            await transport.close()
        return answer

    return asyncio.run(main())


def test_status_headers_and_body_are_given_as_they_came(receiver):
    receiver.answer = lambda _: (418, {"Retry-After": "5"}, b"short")
    answer = put(receiver.url, times=2)
    assert (answer.status, answer.headers["retry-after"], answer.body_start) == (418, "5", b"short")
    assert [page["items"] for page in receiver.came] == [[], []]


def test_a_redirect_is_an_answer_and_is_not_followed(receiver):
    receiver.answer = lambda _: (307, {"Location": receiver.url}, b"")
    assert put(receiver.url).status == 307
    assert len(receiver.came) == 1


def test_an_answer_is_read_up_to_a_limit(receiver):
    receiver.answer = lambda _: (200, {}, b"x" * (ANSWER_LIMIT * 20))
    assert len(put(receiver.url, times=2).body_start) == ANSWER_LIMIT


def test_a_large_body_comes_whole(receiver):
    async def main():
        transport = AiohttpClient(connect=2, read=5, guard=LOOPBACK)
        await transport.put(receiver.url, b'{"items": ["' + b"x" * 5_000_000 + b'"]}', {"webhook-id": "1"})
        await transport.close()

    asyncio.run(main())
    assert len(receiver.came[0]["items"][0]) == 5_000_000


def test_an_answer_that_does_not_come_is_unavailable(receiver):
    done = threading.Event()
    receiver.answer = lambda _: (done.wait(5), (200, {}, b""))[-1]
    with pytest.raises(exceptions.Unavailable, match="no answer in time"):
        put(receiver.url, read=0.2)
    done.set()


def test_an_absent_service_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(exceptions.Unavailable, match=r"no connection: [A-Za-z ]+$"):
            put(f"http://127.0.0.1:{taken.getsockname()[1]}/hook?token=hidden")


@contextlib.contextmanager
def saying(data):
    """Serve connections that answer every request with this, and end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                connection, _ = server.accept()
                with connection:
                    if not ended.is_set():
                        connection.recv(65536)
                        connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        yield f"http://127.0.0.1:{port}/hook?token=hidden"
        ended.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "closed before the answer"),
        (b"nonsense\r\n\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "broke off"),
    ],
)
def test_an_exchange_that_breaks_off_is_unavailable_and_the_url_is_not_told(said, reason):
    with saying(said) as url, pytest.raises(exceptions.Unavailable, match=reason) as caught:
        put(url)
    assert "hidden" not in str(caught.value)


def test_an_invalid_url_is_unavailable():
    with pytest.raises(exceptions.Unavailable, match="must be an http or https URL"):
        put("http:///x")


def test_a_server_that_does_not_speak_tls_is_unavailable(receiver):
    with pytest.raises(exceptions.Unavailable, match=r"no connection|broke off"):
        put(receiver.url.replace("http:", "https:"))


def test_the_recording_transport_keeps_messages_and_answers_as_told():
    async def later(_):
        return Retry(error="later")

    def send(transport, body):
        return transport.send(
            Target(address="a:b", keys=(Key(text=signing.new_secret()),)),
            Message(id="1", body=body, content_type="text/plain"),
        )

    async def main():
        transport = RecordingTransport()
        assert await send(transport, b"1") == Delivered()
        transport.answer = later
        assert await send(transport, b"2") == Retry(error="later")
        transport.answer = lambda sent: Retry(error=sent.message.body.decode())
        waiting = asyncio.create_task(transport.arrived(3))
        await asyncio.sleep(0)
        assert await send(transport, b"3") == Retry(error="3")
        assert [sent.message.body for sent in await waiting] == [b"1", b"2", b"3"]
        assert transport.sent[0].target.address == "a:b"
        with pytest.raises(TimeoutError):
            await transport.arrived(4, limit=0.01)
        await transport.close()
        assert transport.closed

    asyncio.run(main())


@pytest.mark.skipif(not SOCKETS.exists(), reason="what is open is counted on Linux")
def test_a_connection_is_not_kept_for_a_receiver_that_does_not_read():
    """Closed as usual it would stay until all has been written, which is never."""
    over = threading.Event()

    async def main(port):
        transport = AiohttpClient(connect=1, read=0.3, guard=LOOPBACK)
        sending = asyncio.create_task(transport.put(f"http://127.0.0.1:{port}/", b"x" * 20_000_000, {}))
        await asyncio.to_thread(until, lambda: connected_to(port) == 1 or sending.done(), limit=60)
        with pytest.raises(exceptions.Unavailable, match="no answer in time"):
            await sending
        await asyncio.to_thread(until, lambda: connected_to(port) == 0, limit=60)
        await transport.close()

    with hostile.hostile(lambda _: over.wait(20)) as server:
        try:
            asyncio.run(main(server.port))
        finally:
            over.set()


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("endless-header-lines", "too long|not valid HTTP"),
        ("endless-header", "too long|not valid HTTP"),
        ("endless-interim-answers", "head of the answer is too long"),
        ("endless-chunk-extension", "the answer is too long"),
        ("endless-trailers", "too long|broke off"),
        ("one-byte-at-a-time", "no answer in time"),
        ("body-cut-short", "broke off"),
    ],
)
def test_an_answer_without_end_is_given_up_early(way, reason):
    with hostile.hostile(hostile.WAYS[way]) as server, pytest.raises(exceptions.Unavailable, match=reason):
        put(f"http://127.0.0.1:{server.port}/", connect=0.5, read=0.5)


@pytest.mark.parametrize("way", ["bomb", "bomb-with-a-cursor"])
def test_a_compressed_response_stays_compressed(way):
    with hostile.hostile(hostile.WAYS[way]) as server:
        answer = put(f"http://127.0.0.1:{server.port}/")
    assert answer.body_start == hostile.BOMB
    assert isinstance(outcome(answer, now=0.0), Retry)


@pytest.fixture
def order():
    consumer, _ = consumers.add("billing", ["shop.order"], may_subscribe=True)
    wish = service.SubscriptionSpec(callback="https://billing.example/orders/", models=["shop.order"])
    made, _ = service.put(consumer, "orders", wish)
    Order.objects.create()
    return made


@pytest.mark.django_db(transaction=True)
def test_a_worker_with_the_recording_transport_sends_nothing_and_delivers_all(order):
    transport = RecordingTransport()
    assert asyncio.run(Worker(settings=conf.get(), transport=transport).run_once()) == 1
    (sent,) = transport.sent
    assert sent.target.address == order.callback
    assert b"shop.order" in sent.message.body
    assert Webhook(service.secret_of(order)).verify(sent.message.body, sent.signature)


@pytest.mark.django_db(transaction=True)
def test_a_worker_with_the_recording_transport_does_as_its_answer_says(order):
    transport = RecordingTransport(Retry(error="It is busy.", after=60))
    assert asyncio.run(Worker(settings=conf.get(), transport=transport).run_once()) == 0
    assert len(transport.sent) == 1
    order.refresh_from_db()
    assert (order.state, order.last_error) == ("failing", "It is busy.")
    transport = RecordingTransport(readiness=Retry(error="It has not consented."))
    Subscription.objects.update(state="unverified", next_attempt=None)
    asyncio.run(Worker(settings=conf.get(), transport=transport).run_once())
    assert ([target.address for target in transport.prepared], transport.sent) == ([order.callback], [])
