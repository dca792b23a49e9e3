"""Answers that must have no body and have one: they cost the connection, and no notification."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress

import pytest

from pubsubpull import exceptions
from pubsubpull.transports.http.client import AiohttpClient
from pubsubpull.transports.http.guard import Guard

LOOPBACK = Guard(addresses=(ipaddress.ip_network("127.0.0.0/8"),))


async def body(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))


class Server:
    """Answers each notification with these pieces of bytes; a piece that is an event is waited for."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.bodies = []
        self.connections = 0
        self.tasks = []

    async def serve(self, reader, writer):
        self.begin()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.bodies.append(await body(reader))
                for piece in self.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    def begin(self):
        self.connections += 1
        self.tasks.append(asyncio.current_task())


def send(server, *bodies, between=None):
    async def main():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        transport = AiohttpClient(connect=2, read=2, guard=LOOPBACK)
        try:
            answers = []
            for body in bodies:
                answers.append(await transport.put(url, body, {}))
                if between:
                    await asyncio.sleep(between)
            return answers
        finally:
            await transport.close()
            listening.close()
            if server.tasks:
                await asyncio.wait(server.tasks, timeout=5)

    return asyncio.run(main())


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("split", ["together", "apart", "head apart"])
@pytest.mark.parametrize("between", [None, 0.01])
def test_a_body_where_none_may_be_breaks_neither_this_notification_nor_the_next(status, framing, split, between):
    head, body = (
        b"HTTP/1.1 " + status + b"\r\n" + framing + b"\r\n",
        b"2\r\nok\r\n0\r\n\r\n" if b"T" in framing else b"ok",
    )
    pieces = {"together": [head + body], "apart": [head, body], "head apart": [head[:12], head[12:-3], head[-3:], body]}
    server = Server(*pieces[split])
    answers = send(server, b"1", b"22", b"333", between=between)
    assert [answer.status for answer in answers] == [int(status[:3])] * 3
    assert list(dict.fromkeys(server.bodies)) == [b"1", b"22", b"333"]


@pytest.mark.parametrize("head", [b"", b"Content-Length: 0\r\n", b"X: y\r\ncontent-length:00\r\n"])
def test_without_a_body_the_connection_is_kept(head):
    server = Server(b"HTTP/1.1 204 No Content\r\n" + head + b"\r\n")
    send(server, b"1", b"2", b"3", between=0.01)
    assert (server.bodies, server.connections) == ([b"1", b"2", b"3"], 1)


def test_interim_answers_are_passed_over_and_the_connection_is_kept():
    server = Server(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No", b" Content\r\n\r\n"
    )
    assert [answer.status for answer in send(server, b"1", b"2")] == [204, 204]
    assert (server.bodies, server.connections) == ([b"1", b"2"], 1)


def test_lines_may_end_as_some_servers_end_them():
    server = Server(b"HTTP/1.1 204 No Content\nX: y\n\nok")
    assert [answer.status for answer in send(server, b"1", b"2")] == [204, 204]


@pytest.mark.parametrize("junk", [b"\x00\xff\x16\x03", b"ok", b"HTTP"])
def test_junk_on_a_new_connection_is_a_failure(junk):
    with pytest.raises(exceptions.Unavailable):
        send(Server(junk + b"\r\n\r\n"), b"1")


def test_a_body_that_comes_with_the_next_answer_costs_the_connection_only():
    class Late(Server):
        async def serve(self, reader, writer):
            self.begin()
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                for piece in (b"", b"ok"):
                    self.bodies.append(await body(reader))
                    writer.write(piece + b"HTTP/1.1 204 No Content\r\n\r\n")
            writer.close()

    server = Late()
    assert [answer.status for answer in send(server, b"1", b"2")] == [204, 204]
    assert (server.bodies, server.connections) == ([b"1", b"2", b"2"], 2)


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_where_a_body_was_announced_nothing_more_is_sent_on_the_connection(framing):
    server = Server(b"HTTP/1.1 204 No Content\r\n" + framing + b"\r\n")
    assert [answer.status for answer in send(server, b"1", b"2")] == [204, 204]
    assert (server.bodies, server.connections) == ([b"1", b"2"], 2)


def test_an_oversized_answer_is_cut_off_unread():
    """Chunk extensions are no body: the bound on the body does not apply to them."""
    piece = b"x" * 65536
    server = Server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=", *[piece] * 40)
    with pytest.raises(exceptions.Unavailable, match="the answer is too long"):
        send(server, b"1")
