"""A receiver that follows the wire format to the letter ends up with the source's rows after any failure.

Real workers, a real receiver process with a database of its own, and writers at the same time: all rows first, then
changes; as pages, as batches of events, and one change a notification, in both formats. Both are killed on the way.

Besides the final rows, the received items are compared with two sentences of the document. Where the order of one
key's changes is not kept in notifications of one change, `out_of_order` names the change. Where a row's version is not
as the document describes it (as where it is 0), `astray` names the row, by the first change that is above it.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sqlite3
import sys
from typing import NamedTuple

import pytest
from django.db import connection, transaction

from pubsubpull.models import Failure, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import dead_letters, service
from pubsubpull.wire import signing
from tests import literal
from tests.acceptance.test_delivery import workers  # noqa: F401  a fixture
from tests.processes import free_port, running, until
from tests.shop.models import Customer, Order, Stock

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
SEED = 20260102
MODELS = ["shop.customer", "shop.order", "shop.stock"]
NAMES = {
    "page": {},
    "events": {"format": "cloudevents", "batch": 7},
    "one": {"concurrency": 4},
    "event": {"format": "cloudevents", "batch": 5},
}
ONE_BY_ONE = ("one", "event")
"""Those that get one change a notification."""
STORES = ("page", "events")
"""Those that store a cursor."""
TABLES = {
    "shop.customer": "SELECT id::text, to_jsonb(t)::text FROM shop_customer t",
    "shop.order": """SELECT id::text, (to_jsonb(t) - 'internal_note' || '{"card": "***"}')::text FROM shop_order t""",
    "shop.stock": "SELECT jsonb_build_array(warehouse, article)::text, to_jsonb(t)::text FROM shop_stock t",
}
SETTINGS = {"LEASE": 1.5, "SET_ASIDE_AFTER": 3, "BREAKER_FAILURES": 1000, "BACKOFF_LIMIT": 0.1}


def source():
    """Return the rows that there are, by model and key."""
    found = {}
    with connection.cursor() as cursor:
        for model, query in TABLES.items():
            cursor.execute(query)
            found |= {(model, key): literal.parse(text) for key, text in cursor.fetchall()}
    return found


def sql(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() if cursor.description else None


class Came(NamedTuple):
    """An item, and the subscription that it came by."""

    name: str
    model: str
    key: str | None
    version: int
    op: str
    old: dict | None
    new: dict | None


def out_of_order(came):
    """Return the changes that came, by themselves, after a later change of their key."""
    latest, astray = {}, []
    for item in came:
        if item.name not in ONE_BY_ONE or item.op == "snapshot":
            continue
        of = (item.name, item.model, item.key)
        if item.version < latest.get(of, 0):
            astray.append(item)
        latest[of] = max(item.version, latest.get(of, 0))
    return astray


def astray(came):
    """Return the rows whose next change, by their versions, did not change them as they came."""
    changes, truncated = {}, {}
    for item in came:
        if item.op == "truncate":
            truncated.setdefault(item.model, set()).add(item.version)
        elif item.op != "snapshot":
            changes.setdefault((item.model, item.key), {})[item.version] = item
    rows = []
    for item in came:
        later = changes.get((item.model, item.key), {})
        following = min((version for version in later if version > item.version), default=None)
        if item.op != "snapshot" or item.key is None or following is None:
            continue
        is_gone = any(item.version < version < following for version in truncated.get(item.model, ()))
        if not is_gone and later[following].old != item.new:
            rows.append((item, later[following]))
    return rows


class Receivers:
    """The receiver's process, and its stored items."""

    def __init__(self, folder, secret):
        self.folder, self.secret, self.port = folder, secret, free_port()
        self.runs = 0

    def running(self):
        self.runs += 1
        command = [sys.executable, "-m", "tests.literal", self.folder, self.port, self.secret, SEED + self.runs]
        return running(*map(str, command), log=self.folder / "log")

    def callback(self, name):
        variables = "/{model}/{key}?v={version}" if name in {"one", "event"} else ""
        return f"http://127.0.0.1:{self.port}/{name}{variables}"

    def rows(self, name):
        try:
            database = sqlite3.connect(f"file:{self.folder / name}.sqlite?mode=ro", uri=True)
            found = database.execute("SELECT model, key, data FROM item WHERE data IS NOT NULL").fetchall()
            database.close()
        except sqlite3.OperationalError:  # it has not been made yet
            return {}
        return {(model, key): json.loads(data) for model, key, data in found}

    def answers(self):
        path = self.folder / "answers"
        return path.read_text().splitlines() if path.exists() else []

    def came(self):
        """Return the items in the order in which each came first to each name."""
        text = (self.folder / "came").read_text()
        return [Came(*json.loads(line)) for line in dict.fromkeys(text.splitlines())]

    def more(self, count):
        """Wait until so many more notifications have been answered."""
        seen = len(self.answers())
        until(lambda: len(self.answers()) >= seen + count, log=self.folder / "log")


class Writer:
    """Changes rows at random, always in the same way."""

    def __init__(self):
        self.random = random.Random(SEED)
        self.n = 0

    def write(self, rounds):
        for _ in range(rounds):
            for act in self.random.choices(
                [self.add, self.update, self.delete, self.move, self.roll_back, self.empty, self.repeat],
                [6, 6, 2, 2, 1, 0.3, 2],
                k=3,
            ):
                with transaction.atomic():
                    act()

    def some(self, model):
        keys = list(model.objects.order_by("pk").values_list("pk", flat=True))
        return model.objects.filter(pk__in=self.random.sample(keys, min(len(keys), self.random.randint(1, 5))))

    def add(self):
        self.n += 1
        made = Customer.objects.bulk_create(
            Customer(name=f"{self.n} \u00fc\u2028") for _ in range(self.random.randint(1, 8))
        )
        total = f"{self.random.randint(0, 10**9)}.{self.random.randint(10, 99)}"
        Order.objects.bulk_create(Order(customer=one, total=total, card="4111") for one in made)
        for article in self.random.sample(range(50), 3):
            Stock.objects.get_or_create(warehouse=f'w"{self.n % 3}/', article=article)

    def update(self):
        self.n += 1
        self.some(Customer).update(name=f"changed {self.n}")
        self.some(Order).update(total=f"{self.n}.01", status="paid")
        self.some(Stock).update(amount=self.n)

    def delete(self):
        self.some(Customer).delete()
        self.some(Stock).delete()

    def move(self):
        self.n += 1
        self.some(Stock).update(warehouse=f"moved {self.n}")

    def repeat(self):
        """Change one row often: its changes are in one page, and may overtake each other on the way."""
        key = self.some(Customer).first().pk
        for time in range(10):
            self.n += 1
            Customer.objects.filter(pk=key).update(name=f"changed {self.n}, time {time}")

    def roll_back(self):
        point = transaction.savepoint()
        self.add()
        transaction.savepoint_rollback(point)
        self.update()

    def empty(self):
        sql("TRUNCATE shop_stock")
        self.add()


def lose_the_log():
    """Drop all changes, as retention does."""

    def trimmed():
        sql("SELECT pubsubpull_settle()")
        top = sql("SELECT max(id) FROM pubsubpull_change")[0]
        return top is None or sql("SELECT pubsubpull_trim(%s, NULL)", top)[0]

    until(trimmed)


def poison(path, rows, **fields):
    """Let the receiver refuse these rows, which change; return them."""
    keys = [one.pk for one in rows]
    texts = [str(key) if isinstance(key, int) else json.dumps(key) for key in keys]
    refused = [[rows.model._meta.label_lower, text] for text in texts]
    path.write_text(json.dumps(refused))
    rows.model.objects.filter(pk__in=keys).update(**fields)
    return rows.model.objects.filter(pk__in=keys)


def copy(path, to):
    """Copy a receiver's database, which may be in use."""
    with contextlib.closing(sqlite3.connect(path)) as there, contextlib.closing(sqlite3.connect(to)) as here:
        there.backup(here)


def sent_rows():
    """Say whether all rows that were asked for have been sent."""
    return not Subscription.objects.exclude(backfill="").exists()


def sent_again():
    """Request the redelivery of dead letters; return true if there is none."""
    return all(dead_letters.retry(one) == 0 for one in Subscription.objects.all())


class Scene:
    """The receivers, the writer, and a subscription for each way to be sent changes."""

    def __init__(self, folder):
        self.consumer, _ = consumers.add("reader", MODELS, may_subscribe=True)
        self.secret = signing.new_secret()
        self.folder, self.receivers, self.writer = folder, Receivers(folder, self.secret), Writer()

    def put(self, names=tuple(NAMES), **given):
        usual = {"models": MODELS, "secret": self.secret, "batch": 20, "on_failure": "set-aside"}
        for name in names:
            wish = {**usual, "callback": self.receivers.callback(name), **NAMES[name], **given}
            service.put(self.consumer, name, service.SubscriptionSpec(**wish))

    def equal(self, names=tuple(NAMES)):
        """Wait until all changes and dead letters have been sent, and these have the source's rows."""
        there = source()
        until(
            lambda: sent_rows() and sent_again() and all(self.receivers.rows(name) == there for name in names),
            log=self.folder / "log",
        )

    def cursor(self, name, kept="sqlite"):
        with contextlib.closing(sqlite3.connect(self.folder / f"{name}.{kept}")) as database:
            return database.execute("SELECT cursor FROM place").fetchone()

    def elsewhere(self):
        """Return the subscriptions that answered 409."""
        return {line.removesuffix(" 409") for line in self.receivers.answers() if line.endswith(" 409")}

    def send_rows(self, start):
        """Have all rows sent; the worker and the receiver are killed while they come, and others write."""
        self.writer.write(10)
        lose_the_log()
        self.writer.write(2)
        self.put(instances=True)
        with self.receivers.running() as receiver:
            worker = start(**SETTINGS)
            self.receivers.more(15)
            self.writer.write(3)
            for process in (worker, receiver):
                process.send_signal(signal.SIGKILL)
                process.wait()
        start(**SETTINGS)

    def refuse(self):
        """Have some changes set aside; then put receivers that store a cursor back to an earlier state."""
        with self.receivers.running() as receiver:
            until(sent_rows)
            for name in STORES:
                copy(self.folder / f"{name}.sqlite", self.folder / f"{name}.backup")
            bad = [
                poison(self.folder / "page.poison", self.writer.some(Customer), name="bad"),
                poison(self.folder / "one.poison", self.writer.some(Order), status="bad"),
                poison(self.folder / "event.poison", self.writer.some(Stock), amount=-1),
            ]
            until(lambda: Failure.objects.filter(item__contains="bad").count() >= 2)
            for rows in bad:
                rows.first().delete()
            self.writer.write(6)
            until(lambda: Failure.objects.values("subscription").distinct().count() >= 3)
            until(lambda: all(self.cursor(name) != self.cursor(name, "backup") for name in STORES))
            receiver.send_signal(signal.SIGKILL)
            receiver.wait()
            for name in STORES:
                copy(self.folder / f"{name}.backup", self.folder / f"{name}.sqlite")

    def lapse(self):
        """Let two lose changes that they have not had, and send them all rows; the others come up without."""
        self.put(["page", "one"], paused=True)
        self.writer.write(6)
        sql("TRUNCATE shop_stock")
        self.writer.write(1)
        self.equal(["events", "event"])
        lose_the_log()
        self.put(["page", "one"], instances=True)
        self.writer.write(3)


def test_a_receiver_that_follows_the_wire_format_has_the_sources_rows(workers, tmp_path):  # noqa: F811
    scene = Scene(tmp_path)
    scene.send_rows(workers.start)
    scene.refuse()
    with scene.receivers.running():
        scene.writer.write(6)
        until(lambda: scene.elsewhere() == {*STORES}, log=tmp_path / "log")
        (tmp_path / "healed").touch()  # dead letters are accepted now, after later changes of the same rows
        scene.equal()
        scene.lapse()
        (tmp_path / "calm").touch()
        scene.equal()
    assert scene.elsewhere() == {*STORES}
    came = scene.receivers.came()
    assert out_of_order(came) == []
    assert astray(came) == []
    assert {one.state for one in Subscription.objects.all()} == {"active"}
