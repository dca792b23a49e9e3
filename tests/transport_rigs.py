"""The transports of the conformance suite, each with a receiver that the suite controls.

For another transport, write a rig like these and add it to `RIGS`; its `can` lists the abilities of its receivers.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import json
import pathlib
import re
import socket
import tempfile
import threading

from pubsubpull.capture import clock
from pubsubpull.log.cursor import Cursor
from pubsubpull.transports.base import HOLD_LIMIT, Delivered, Gone, Ready, Retry, Rewind, beginning
from pubsubpull.transports.http.client import AiohttpClient
from pubsubpull.transports.http.guard import Guard
from pubsubpull.transports.http.transport import HttpTransport
from pubsubpull.transports.recording import RecordingTransport
from pubsubpull.transports.registry import Transports
from tests import hostile, receivers
from tests.processes import SOCKETS

PAGE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "transports.md"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECRET = "hidden-in-the-address"
ALL = frozenset(
    {
        "away",
        "connections",
        "consent",
        "elsewhere",
        "gone",
        "hold",
        "hostile",
        "nonsense",
        "refuse",
        "rewind",
        "silent",
        "variables",
        "wait",
    }
)
"""What a receiver may be able to do, besides to take what it is sent."""


class HttpRig:
    """The HTTP transport, and a server on loopback."""

    can = ALL if SOCKETS.exists() else ALL - {"connections"}
    hostile_ways = tuple(hostile.WAYS)
    taken_ways = frozenset({"endless-tiny-chunks"})
    bad = (
        "http:",
        "http:///path",
        "http://user:password@receiver.example/",
        "https://receiver.example/#part",
        "https://receiver.example/{unknown}",
        "https://{key}.example/",
        "https://receiver.example/{",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://receiver.example:22/",
        "https://receiver.example/" + "x" * 5000,
        "https://receiver.example/\r\nX-Header: 1",
    )

    def __init__(self, stack):
        self.receiver = stack.enter_context(receivers.serving(receivers.Receiver()))
        self.stack = stack
        self.released = threading.Event()
        stack.callback(self.released.set)
        self.address = f"http://127.0.0.1:{self.receiver.port}/callback?token={SECRET}"
        self.neighbour = f"http://127.0.0.1:{self.receiver.port}/other"
        self.elsewhere = "https://other.example/"
        self.with_variables = f"http://127.0.0.1:{self.receiver.port}/{{model}}/{{key}}?token={SECRET}"

    def transport(self, *, patience=30):
        """Return a new transport, which waits for a connection and for an answer for so many seconds."""
        guard = Guard(addresses=(ipaddress.ip_network("127.0.0.0/8"),), resolve=lambda *_: ["192.0.1.1"])
        return HttpTransport(
            client=lambda: AiohttpClient(connect=patience, read=patience, guard=guard),
            guard=guard,
            origin="tests.example",
            now=clock.of().now,
        )

    def received(self):
        """Return the id, the body and the attributes of each message that came, in order."""
        return [(page["id"], page["body"], page["headers"]) for page in self.receiver.came]

    def answer(self, status, headers=None, body=b""):
        self.receiver.answer = lambda _: (status, headers or {}, body)

    def refuse(self, reason):
        self.answer(422, body=reason)

    def hold(self, seconds):
        self.answer(429, {"Retry-After": str(seconds)})

    def gone(self):
        self.answer(410)

    def rewind(self, cursor):
        self.answer(409, body=json.dumps({"cursor": cursor}).encode())

    def nonsense(self):
        self.answer(409, body=b'{"cursor": "none"}')

    def wait(self):
        """Keep the receiver from answering; return the event of its request, and the event that lets it answer."""
        asked, go_on = threading.Event(), threading.Event()
        self.stack.callback(go_on.set)
        self.receiver.answer = lambda _: (asked.set(), go_on.wait(60), (204, {}, b""))[-1]
        return asked, go_on

    def consent(self, wanted):
        self.receiver.consent = lambda _: (200, {"WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "120"}, b"")
        if not wanted:
            self.receiver.consent = lambda _: (200, {}, b"")

    def away(self):
        """Return an address without a listener."""
        taken = self.stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/?token={SECRET}"

    def silent(self):
        """Return an address at which everything is taken, and nothing answered."""
        return self.hostile("never-answering")

    def hostile(self, way):
        server = self.stack.enter_context(hostile.hostile(hostile.WAYS[way]))
        return f"http://127.0.0.1:{server.port}/?token={SECRET}"


class RegistryRig(HttpRig):
    """The HTTP transport behind the registry."""

    bad = (*HttpRig.bad, "", "receiver.example", "ftp://receiver.example/", "javascript:alert(1)")

    def transport(self, **given):
        return Transports([RecordingTransport(), super().transport(**given)])


class RecordingRig:
    """The transport of tests."""

    can = ALL - {"hostile", "silent", "connections"}
    hostile_ways = ()
    bad = ("", "recording", "recording:", ":x")

    def __init__(self, stack):
        self.stack = stack
        self.address = f"recording://user:{SECRET}@receiver/callback"
        self.neighbour = "recording://receiver/other"
        self.elsewhere = "recording://other/"
        self.with_variables = "recording://receiver/{model}/{key}"
        self.given = []
        self.outcome = Delivered()
        self.readiness = Ready()

    def transport(self):
        recording = RecordingTransport(lambda sent: self.outcome(sent) if callable(self.outcome) else self.outcome)
        recording.readiness = self.readiness
        self.given.append(recording)
        return recording

    def received(self):
        sent = [sent for recording in self.given for sent in recording.sent]
        return [
            (
                one.message.id,
                one.message.body,
                {**one.message.attributes, **one.signature, "content-type": one.message.content_type},
            )
            for one in sent
        ]

    def refuse(self, reason):
        self.outcome = Retry(error="It was refused.", refused=True, answer=beginning(reason))

    def hold(self, seconds):
        self.outcome = Retry(error="It is busy.", after=min(float(seconds), HOLD_LIMIT))

    def gone(self):
        self.outcome = Gone()

    def rewind(self, cursor):
        def answer(sent):
            return Retry(error="It is elsewhere.") if sent.message.change else Rewind(cursor=Cursor.decode(cursor))

        self.outcome = answer

    def nonsense(self):
        self.outcome = Retry(error="It named a cursor that is none.")

    def wait(self):
        asked, go_on = threading.Event(), threading.Event()
        self.stack.callback(go_on.set)

        async def answer(_):
            asked.set()
            await asyncio.to_thread(go_on.wait, 60)
            return Delivered()

        self.outcome = answer
        return asked, go_on

    def consent(self, wanted):
        self.readiness = Ready(rate=120) if wanted else Retry(error="It has not consented.")

    def away(self):
        self.outcome = Retry(error="It does not answer.", away=True)
        return self.address


class DocumentedRig:
    """The transport that docs/transports.md writes as an example: lines of a file."""

    can = frozenset({"away"})
    bad = ("", "file", "file:", "file:../../etc/passwd", "file:{model}", "file:/etc/passwd", "file:a\n")

    def __init__(self, stack):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (source,) = [block for block in PYTHON.findall(PAGE.read_text()) if "class FileTransport" in block]
        self.names = {}
        exec(compile(source, str(PAGE), "exec"), self.names)
        self.names["FOLDER"] = self.folder
        self.address, self.neighbour, self.elsewhere = "file:billing", "file:other", "file:"

    def transport(self):
        return self.names["FileTransport"]()

    def received(self):
        path = self.folder / "billing.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["webhook-id"], base64.b64decode(line.pop("body")), line) for line in lines]

    def away(self):
        self.names["FOLDER"] = self.folder / "missing"
        return self.address


RIGS = {"http": HttpRig, "registry": RegistryRig, "recording": RecordingRig, "documented": DocumentedRig}


@contextlib.contextmanager
def rigged(name):
    """Set a transport up with its receiver."""
    with contextlib.ExitStack() as stack:
        yield RIGS[name](stack)
