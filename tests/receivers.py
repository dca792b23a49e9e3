"""A receiver of notifications: a real HTTP server in a thread, which answers as it is told."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time

from standardwebhooks import Webhook


class Receiver:
    """Keeps the notifications, in order.

    `answer(notification)` gives the status, headers and body; `secret`, if set, verifies each. `consent(headers)` gives
    them for a request for consent; `asked` keeps the headers.
    """

    def __init__(self):
        self.came = []
        self.answer = lambda _: (204, {}, b"")
        self.asked = []
        self.consent = lambda _: (405, {}, b"")
        self.secret = None
        self.failures = []
        self.condition = threading.Condition()
        self.port = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/callback"

    def take(self, path, headers, body):
        content = json.loads(body)
        page = content if "items" in content else {"content": content}
        page["path"] = path
        page["headers"] = {name.lower(): value for name, value in headers.items()}
        page["body"] = body
        page["id"] = headers["webhook-id"]
        page["time"] = time.monotonic()
        with self.condition:
            if self.secret:
                try:
                    Webhook(self.secret).verify(body, {k.lower(): v for k, v in headers.items()})
                except Exception as error:  # noqa: BLE001  the test fails with it
                    self.failures.append(repr(error))
            self.came.append(page)
            self.condition.notify_all()
        return self.answer(page)

    def ask(self, headers):
        with self.condition:
            self.asked.append(headers)
            self.condition.notify_all()
        return self.consent(headers)

    def wait(self, until, limit=60):
        """Wait until `until(pages)` is true of the notifications."""
        with self.condition:
            assert self.condition.wait_for(lambda: until(self.came), limit), f"came: {self.names()}"
            assert not self.failures
            return list(self.came)

    def names(self):
        """Return the name in each change that came, in order."""
        return [(item["new"] or item["old"])["name"] for page in self.came for item in page["items"]]

    def wait_names(self, names, limit=60):
        self.wait(lambda _: self.names() == names, limit)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(*self.server.receiver.take(self.path, self.headers, body))

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a worker that was killed leaves its connections so
            super().handle()

    def do_OPTIONS(self):
        self.reply(*self.server.receiver.ask({name.lower(): value for name, value in self.headers.items()}))

    def reply(self, status, headers, answer):
        with contextlib.suppress(OSError):  # the caller may be gone
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(receiver, port=0):
    """Let the receiver listen on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.receiver = receiver
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
