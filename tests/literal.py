"""A receiver that follows docs/wire-format.md and does nothing else: a process with a database of its own.

`python -m tests.literal FOLDER PORT SECRET SEED` keeps PUTs below /NAME in FOLDER/NAME.sqlite. It imports nothing
of the package. Until FOLDER/calm exists it fails now and then, in every way that a receiver may; until FOLDER/healed
exists it refuses all but deletes of what is in FOLDER/NAME.poison. FOLDER/came has all items in the order in which each
came first, under any answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import random
import sqlite3
import sys
import threading
import time

SCHEMA = """
CREATE TABLE IF NOT EXISTS place (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), cursor TEXT);
CREATE TABLE IF NOT EXISTS model (model TEXT PRIMARY KEY, truncated INTEGER, snapshot TEXT);
CREATE TABLE IF NOT EXISTS item (model TEXT, key TEXT, version INTEGER, data TEXT, PRIMARY KEY (model, key));
"""
FAULTS = ((0.02, "refuse"), (0.05, "busy"), (0.08, "hang up"), (0.12, "apply and hang up"))
"""Each with the part of all notifications that it and those before it befall."""
FAILED = {"refuse": (500, b""), "busy": (503, b""), "hang up": (None, b"")}


def parse(text):
    """Read JSON; numbers that a float cannot hold stay as they are written."""
    return json.loads(text, parse_float=lambda digits: f"number {digits}")


class Elsewhere(Exception):
    """The page does not go on from the cursor that is stored."""


class Store:
    """The stored items of a subscription."""

    def __init__(self, folder, name):
        self.connection = sqlite3.connect(folder / f"{name}.sqlite", check_same_thread=False, isolation_level=None)
        self.connection.executescript(SCHEMA)
        self.lock = threading.Lock()

    def take(self, said, items):
        """Apply a notification in one transaction."""
        with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                self._take(said, items)
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def _take(self, said, items):
        stored = self._one("SELECT cursor FROM place")
        if "previous" in said and stored is not None and said["previous"] != stored:
            raise Elsewhere(stored)
        if "snapshot" in said and self._comes_late(said["snapshot"]):
            return
        if "snapshot" in said:
            self._rows(said["snapshot"], items)
        else:
            for item in items:
                self._apply(item)
        if "cursor" in said:
            self._run("INSERT OR REPLACE INTO place VALUES (1, ?)", said["cursor"])

    def _comes_late(self, snapshot):
        kept = self._one("SELECT snapshot FROM model WHERE model = ?", snapshot["model"])
        return kept is not None and snapshot["id"] < kept

    def _rows(self, snapshot, items):
        model, run = snapshot["model"], snapshot["id"]
        kept = self._one("SELECT snapshot FROM model WHERE model = ?", model)
        if snapshot["first"] and run != kept:
            self._run("DELETE FROM item WHERE model = ? AND data IS NULL", model)
            self._run("UPDATE item SET version = NULL WHERE model = ?", model)
            self._run("INSERT OR REPLACE INTO model VALUES (?, NULL, ?)", model, run)
            kept = run
        for item in items:
            self._apply(item)
        if snapshot["last"] and run == kept:
            self._run("DELETE FROM item WHERE model = ? AND version IS NULL", model)

    def _apply(self, item):
        model, key, version = item["model"], item["key"], item["version"]
        truncated = self._one("SELECT truncated FROM model WHERE model = ?", model)
        if item["op"] == "truncate":
            if truncated is None or version > truncated:
                self._run("DELETE FROM item WHERE model = ? AND (version IS NULL OR version < ?)", model, version)
                self._run("INSERT OR IGNORE INTO model VALUES (?, NULL, NULL)", model)
                self._run("UPDATE model SET truncated = ? WHERE model = ?", version, model)
            return
        if key is None:
            return
        held = self._one("SELECT version FROM item WHERE model = ? AND key = ?", model, key)
        lowest = max(-1 if held is None else held, -1 if truncated is None else truncated)
        if version > lowest or (item["op"] == "snapshot" and version == lowest):
            data = None if item["op"] == "delete" else json.dumps(item["new"])
            self._run("INSERT OR REPLACE INTO item VALUES (?, ?, ?, ?)", model, key, version, data)

    def _run(self, statement, *values):
        self.connection.execute(statement, values)

    def _one(self, statement, *values):
        row = self.connection.execute(statement, values).fetchone()
        return row and row[0]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            fault = self.server.fault()
        self.server.note(self.path.split("/")[1], read(self.headers, body)[1])
        status, answer = FAILED.get(fault) or self._take(body)
        if fault == "apply and hang up" or status is None:
            self.close_connection = True
            return
        self.server.count(self.path.split("/")[1], status)
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _take(self, body):
        name = self.path.split("/")[1]
        if not self.server.verified(self.headers, body):
            return 401, b""
        said, items = read(self.headers, body)
        if self.server.is_poison(name, items):
            return 422, b"I do not take it"
        if self.server.begins(name, said.get("snapshot")):
            return 503, b"not the first time"
        try:
            self.server.store(name).take(said, items)
        except Elsewhere as error:
            return 409, json.dumps({"cursor": str(error)}).encode()
        return 204, b""

    def log_message(self, *_):
        pass


def read(headers, body):
    """Return a notification's fields besides its items, and the items as changes, for either format."""
    content = parse(body)
    if "cloudevents" not in headers["content-type"]:
        return {name: value for name, value in content.items() if name != "items"}, content["items"]
    begin = "pubsubpull-"
    told = {name.lower()[len(begin) :]: value for name, value in headers.items() if name.lower().startswith(begin)}
    said = {name: value for name, value in told.items() if not name.startswith("snapshot-")}
    if "snapshot-id" in told:
        said["snapshot"] = {
            "id": told["snapshot-id"],
            "model": told["snapshot-model"],
            "first": told["snapshot-first"] == "true",
            "last": told["snapshot-last"] == "true",
        }
    events = content if isinstance(content, list) else [content]
    return said, [change(event) for event in events]


def change(event):
    model, _, op = event["type"].rpartition(".")
    return {
        "version": int(event["sequence"]),
        "model": model,
        "key": event.get("subject"),
        "op": op,
        "old": event["data"]["old"],
        "new": event["data"]["new"],
    }


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder, port, secret, seed):
        super().__init__(("127.0.0.1", port), Handler)
        self.folder = folder
        self.secret = base64.b64decode(secret.removeprefix("whsec_"))
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.stores = {}
        self.begun = set()
        self.log = (folder / "answers").open("a", buffering=1)
        self.came = (folder / "came").open("a", buffering=1)

    def verified(self, headers, body):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mine = base64.b64encode(hmac.digest(self.secret, signed, hashlib.sha256)).decode()
        fits = [hmac.compare_digest(f"v1,{mine}", one) for one in headers["webhook-signature"].split()]
        return any(fits) and abs(time.time() - int(headers["webhook-timestamp"])) < 300

    def fault(self):
        if (self.folder / "calm").exists():
            return None
        drawn = self.random.random()
        return next((fault for upto, fault in FAULTS if drawn < upto), None)

    def is_poison(self, name, items):
        poison = self.folder / f"{name}.poison"
        if (self.folder / "healed").exists() or not poison.exists():
            return False
        refused = json.loads(poison.read_text())
        return any(item["op"] != "delete" and [item["model"], item["key"]] in refused for item in items)

    def begins(self, name, snapshot):
        """Say whether this is the first time that the first rows of a model come: they are to come again."""
        if snapshot is None or not snapshot["first"]:
            return False
        run = (name, snapshot["id"], snapshot["model"])
        with self.lock:
            is_new = run not in self.begun
            self.begun.add(run)
        return is_new

    def store(self, name):
        with self.lock:
            if name not in self.stores:
                self.stores[name] = Store(self.folder, name)
            return self.stores[name]

    def note(self, name, items):
        with self.lock:
            for item in items:
                told = [name, *(item[part] for part in ("model", "key", "version", "op", "old", "new"))]
                self.came.write(json.dumps(told) + "\n")

    def count(self, name, status):
        self.log.write(f"{name} {status}\n")


if __name__ == "__main__":
    where, at, key, start = sys.argv[1:]
    Server(pathlib.Path(where), int(at), key, int(start)).serve_forever()
