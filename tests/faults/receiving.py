"""The receiver: keeps a copy of the tables, records all arrivals, and misbehaves on demand."""

from __future__ import annotations

import collections
import contextlib
import http.server
import json
import random
import threading
import time

from standardwebhooks import Webhook, WebhookVerificationError

JUNK = [
    b"",
    b"garbage\r\n\r\n",
    b"HTTP/1.1 200",
    b"HTTP/1.1 999 What\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 409 Conflict\r\nContent-Length: 20\r\n\r\n" + b'{"cursor":"nonsense"'[:20],
    b"HTTP/1.1 409 Conflict\r\nContent-Length: 9\r\n\r\n[[[[[[[[[",
    b"HTTP/1.1 429 Slow\r\nRetry-After: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
    b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x00",
]
"""Answers that say of a page that it was not taken, or nothing at all; none may be understood as 2xx."""


class Copy:
    """The arrived changes. `seen` holds their versions, `rows` the tables, `fresh` the time of the last new change."""

    def __init__(self):
        self.seen = set()
        self.latest = {}
        self.rows = {}
        self.cursor = None
        self.duplicates = self.disorder = self.snapshots = 0
        self.fresh = []

    def apply(self, page):
        new = False
        for item in page["items"]:
            new |= self._note(item)
            self._keep(item)
        self.cursor = page["cursor"]
        if new:
            self.fresh.append(time.monotonic())

    def _note(self, item):
        """Count a change that came before, or after a later one of its key; say whether it is new."""
        if item["op"] == "snapshot":
            self.snapshots += 1
            return True
        version, key = item["version"], (item["model"], item["key"])
        if version in self.seen:
            self.duplicates += 1
            return False
        self.disorder += version < self.latest.get(key, 0)
        self.latest[key] = max(version, self.latest.get(key, 0))
        self.seen.add(version)
        return True

    def _keep(self, item):
        key = item["model"], item["key"]
        version, _ = self.rows.get(key, (-1, None))
        if item["version"] > version:
            self.rows[key] = item["version"], item["new"]

    def table(self, model):
        return {key: row for (label, key), (_, row) in self.rows.items() if label == model and row is not None}


class Receiver:
    """Takes pages for several subscriptions. `mood` is how it behaves now."""

    def __init__(self, seed):
        self.copies = collections.defaultdict(Copy)
        self.secrets = {}
        self.mood = "well"
        self.moods = collections.Counter()
        self.refused = 0
        self.lock = threading.Lock()
        self._chance = random.Random(seed)

    def take(self, headers, body):
        """Return the answer: a status and a body, or bytes to send unchanged."""
        mood = self.mood
        if mood in {"refusing", "junk"}:
            return self._misbehave(mood, (500, b"no") if mood == "refusing" else self._chance.choice(JUNK))
        if mood == "slow":
            self.moods[mood] += 1
            time.sleep(self._chance.uniform(0.05, 0.5))
        page = self._verified(headers, body)
        if page is None:
            self.refused += 1
            return 401, b"this was changed on its way"
        with self.lock:
            copy = self.copies[page["subscription"]]
            if mood == "elsewhere" and copy.cursor and self._chance.random() < 0.3:
                return self._misbehave(mood, (409, json.dumps({"cursor": copy.cursor}).encode()))
            copy.apply(page)
        if mood in {"forgetful", "noisy"}:  # it has taken the page, and says that it has not, or says too much
            late = (500, b"too late")
            return self._misbehave(mood, late if mood == "forgetful" else (200, self._chance.randbytes(100_000)))
        return 204, b""

    def _misbehave(self, mood, answer):
        self.moods[mood] += 1
        return answer

    def _verified(self, headers, body):
        for secret in self.secrets.values():
            with contextlib.suppress(WebhookVerificationError, ValueError):
                Webhook(secret).verify(body, headers)
                return json.loads(body)
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_PUT(self):
        with contextlib.suppress(OSError, ValueError):
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) != length:
                self.close_connection = True
                return
            answer = self.server.receiver.take({k.lower(): v for k, v in self.headers.items()}, body)
            self._reply(answer)

    def _reply(self, answer):
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
            return
        status, body = answer
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Print nothing for cut connections: they are the purpose of this suite."""


@contextlib.contextmanager
def serving(receiver):
    """Let the receiver listen on loopback; give its port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.receiver = receiver
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
