"""Receivers that mean harm: servers of raw sockets on loopback, each with its way of answering."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import threading
import time

PIECE = 16 * 1024
BOMB = gzip.compress(bytes(50_000_000), 9)
"""48 KB that unpack to 50 MB."""


def ask(connection):
    """Read a request as far as its head goes, and some of its body."""
    connection.settimeout(20)
    connection.recv(65536)


def endlessly(beginning, piece):
    """Answer with a beginning, and then with the same for ever."""

    def answer(connection):
        ask(connection)
        connection.sendall(beginning)
        pieces = piece * max(PIECE // len(piece), 1)
        while True:
            connection.sendall(pieces)

    return answer


def saying(data):
    """Answer with this, and wait for the other side to go."""

    def answer(connection):
        ask(connection)
        connection.sendall(data)
        connection.recv(1)

    return answer


def one_byte_at_a_time(connection):
    ask(connection)
    for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nX: ", itertools.repeat(120)):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)  # the attack itself, and nothing waits for it


def never_reading(connection):
    connection.settimeout(20)
    threading.Event().wait(3)
    connection.recv(1)


def closing_at_once(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def head(*lines):
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode()


WAYS = {
    "endless-header-lines": endlessly(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
    "endless-header": endlessly(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "endless-status-line": endlessly(b"HTTP/1.1 200 ", b"O"),
    "endless-interim-answers": endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless-chunk-extension": endlessly(head("Transfer-Encoding: chunked") + b"5;x=", b"x"),
    "endless-tiny-chunks": endlessly(head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
    "endless-trailers": endlessly(head("Transfer-Encoding: chunked") + b"0\r\n", b"X-More: and more\r\n"),
    "endless-body-of-an-error": endlessly(b"HTTP/1.1 500 No\r\n\r\n", b"x"),
    "one-byte-at-a-time": one_byte_at_a_time,
    "bomb": saying(
        b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    ),
    "bomb-with-a-cursor": saying(
        b"HTTP/1.1 409 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    ),
    "deep-json": saying(b"HTTP/1.1 409 No\r\nContent-Length: 60000\r\n\r\n" + b"[" * 60_000),
    "redirect": saying(
        b"HTTP/1.1 307 T\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n"
    ),
    "junk": saying(bytes(range(256)) * 8),
    "another-protocol": saying(b"220 mail.example ESMTP ready\r\n"),
    "upgrade": saying(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" + b"x" * 500
    ),
    "conflicting-lengths": saying(head("Content-Length: 5", "Content-Length: 6") + b"123456"),
    "negative-length": saying(head("Content-Length: -1")),
    "huge-chunk": saying(head("Transfer-Encoding: chunked") + b"f" * 60 + b"\r\nx"),
    "body-cut-short": lambda connection: (ask(connection), connection.sendall(head("Content-Length: 9") + b"x")),
    "never-answering": lambda connection: (ask(connection), connection.recv(1)),
    "never-reading": never_reading,
    "closing-at-once": closing_at_once,
}


class Hostile:
    """One of them; `count` is how many connections it has had."""

    def __init__(self, way):
        self.way = way
        self.count = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open = set()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.count += 1
                self.open.add(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.way(connection)
        self.open.discard(connection)


@contextlib.contextmanager
def hostile(way):
    """Let one listen on loopback."""
    server = Hostile(way)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        for connection in list(server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(60)
