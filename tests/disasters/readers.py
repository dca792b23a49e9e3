"""The readers of a service's log: a puller, a subscriber, and replicas; and the service itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import psycopg
import requests

import pubsubpull
from pubsubpull import exceptions
from tests import processes
from tests.disasters import servers
from tests.faults import receiving

MODEL = "shop.customer"
BUSY = {"BACKOFF_FIRST": 0.05, "BACKOFF_LIMIT": 0.2}


def python(server, *args, settings="tests.delivery_settings", **environment):
    """Run Python with the test project on a server's database; return how it ended, and all it printed."""
    env = {
        **os.environ,
        "DATABASE_URL": server.url(),
        "DJANGO_SETTINGS_MODULE": settings,
        "PUBSUBPULL_SETTINGS": json.dumps(BUSY),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, *args], env=env, cwd=processes.ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    return done.returncode, done.stdout + done.stderr


def manage(server, *args, **environment):
    """Run a management command, which must succeed."""
    code, printed = python(server, "manage.py", *args, **environment)
    assert code == 0, printed
    return printed


def rows(server, table="shop_customer"):
    """Return a table's rows by key."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        return {str(key): name for key, name in connection.execute(f"SELECT id, name FROM {table}")}


@contextlib.contextmanager
def running(server, folder, *args, settings="tests.delivery_settings", **environment):
    """Run a management command until the block ends; give its process."""
    given = {"DATABASE_URL": server.url(), "DJANGO_SETTINGS_MODULE": settings, **environment}
    command = (sys.executable, "manage.py", *args)
    with processes.running(*command, log=folder / f"{args[0]}.log", **given) as process:
        yield process


class Service:
    """The service at a fixed address, with its database on any server."""

    def __init__(self, folder, token=""):
        self.folder = folder
        self.port = processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}/pubsubpull/"
        self.token = token

    def on(self, server):
        """Serve with this database."""
        return processes.gunicorn(self.folder, port=self.port, DATABASE_URL=server.url())

    def client(self):
        """Return a client of the service."""
        return pubsubpull.Client(self.url, self.token)


class Puller:
    """Follows by pages, and copies all rows where it is told 410."""

    def __init__(self, service):
        self.service = service
        self.cursor = None
        self.rows = {}
        self.expired = 0

    def copy(self):
        """Read all rows, and the cursor that goes with them."""
        instances = self.service.client().instances(MODEL)
        self.rows = {one.key: one.data["name"] for one in instances}
        self.cursor = instances.cursor

    def drain(self):
        """Read up to now; say whether that was possible."""
        more = True
        while more:
            try:
                page = self.service.client().changes([MODEL], self.cursor)
            except exceptions.CursorExpired:
                self.expired += 1
                return False
            for change in page.items:
                if change.new is None:
                    self.rows.pop(change.key, None)
                else:
                    self.rows[change.key] = change.new["name"]
            self.cursor, more = page.cursor, page.more
        return True


class Receiver(receiving.Receiver):
    """Answers 409 with where it is, to a page that does not go on from there."""

    def __init__(self):
        super().__init__(0)
        self.elsewhere = 0

    def start_over(self):
        """Forget all that came."""
        with self.lock:
            self.copies.clear()

    def take(self, headers, body):
        page = self._verified(headers, body)
        if page is None:
            return 401, b"not signed"
        with self.lock:
            copy = self.copies["all"]
            snapshot = any(item["op"] == "snapshot" for item in page["items"])
            if copy.cursor and not snapshot and page["previous"] != copy.cursor:
                self.elsewhere += 1
                return 409, json.dumps({"cursor": copy.cursor}).encode()
            copy.apply(page)
        return 204, b""

    def table(self):
        """Return the rows by key."""
        return {key: row["name"] for key, row in self.copies["all"].table(MODEL).items()}


class Replicas:
    """Another service's replicas, in a database of its own."""

    def __init__(self, server, service):
        self.server = server
        self.service = service

    def follow(self):
        """Follow up to now; return the output."""
        code, printed = python(
            self.server,
            "manage.py",
            "pubsubpull_follow",
            "--once",
            settings="tests.replica_settings",
            SHOP_URL=self.service.url,
            SHOP_TOKEN=self.service.token,
        )
        assert code == 0, printed
        return printed

    def following(self, folder):
        """Follow until the block ends; give the process."""
        where = {"SHOP_URL": self.service.url, "SHOP_TOKEN": self.service.token}
        return running(self.server, folder, "pubsubpull_follow", settings="tests.replica_settings", **where)

    def table(self):
        """Return the rows by key."""
        return rows(self.server, "replicas_customer")


def subscribe(service, receiver, port, **body):
    """Let the service push to the receiver."""
    answer = requests.put(
        f"{service.url}subscriptions/all/",
        json={"callback": f"http://127.0.0.1:{port}/", "models": [MODEL], **body},
        headers={"Authorization": f"Bearer {service.token}"},
        timeout=30,
    )
    assert answer.status_code in {200, 201}, answer.text
    if "secret" in answer.json():
        receiver.secrets["all"] = answer.json()["secret"]


def deliver(server):
    """Deliver all pending changes; return the output."""
    return manage(server, "pubsubpull_deliver", "--once")


def state(server):
    """Return a subscription's state and its last error."""
    ((found, error),) = servers.execute(server, "SELECT state, last_error FROM pubsubpull_subscription")
    return found, error or ""


@contextlib.contextmanager
def receiving_here():
    """Give a receiver that listens, and its port."""
    receiver = Receiver()
    with receiving.serving(receiver) as port:
        yield receiver, port
