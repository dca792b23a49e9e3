"""TPC-B by pgbench: the replicas' state at the end of each snapshot is a state that the source has had."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.test import override_settings
from django.test.utils import isolate_apps

import pubsubpull
from pubsubpull import conf
from pubsubpull.log.cursor import Cursor
from pubsubpull.pull import consumers
from pubsubpull.replica import declaration, follower, services
from pubsubpull.replica.compare import judge
from pubsubpull.replica.push import receive
from pubsubpull.transports.http.transport import HttpTransport
from pubsubpull.wire import signing
from tests import delivering, processes, sessions

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
TABLES = {
    "accounts": ("aid", {"bid": int, "abalance": int, "filler": str}),
    "branches": ("bid", {"bbalance": int, "filler": str}),
    "tellers": ("tid", {"bid": int, "tbalance": int, "filler": str}),
    "history": ("hid", {"tid": int, "bid": int, "aid": int, "delta": int, "mtime": str}),
}
CLIENTS, SECONDS = 4, 4


def pgbench(*arguments):
    """Start pgbench on the test database."""
    program = processes.require("pgbench", "/usr/lib/postgresql/15/bin")
    known = sessions.names()
    environment = os.environ | {
        "PGHOST": str(known["host"]),
        "PGPORT": str(known["port"]),
        "PGUSER": known["user"],
        "PGPASSWORD": known.get("password", ""),
        "PGDATABASE": known["dbname"],
    }
    return subprocess.Popen([program, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def run(text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else []


def unmanaged(name, table):
    """Return a model for a table that is there already."""
    key, columns = TABLES[name]
    fields = {"int": models.IntegerField(null=True), "str": models.TextField(null=True)}
    made = {column: fields[kind.__name__].clone() for column, kind in columns.items()}
    meta = type("Meta", (), {"app_label": "shop", "managed": False, "db_table": table})
    attributes = {"__module__": __name__, "Meta": meta, key: models.BigIntegerField(primary_key=True), **made}
    return type(table.title().replace("_", ""), (models.Model,), attributes)


@pytest.fixture
def bank(live_server):
    """Make pgbench's tables, publish them, and declare a replica of each; give a follower of them."""
    made = pgbench("--initialize", "--quiet")
    assert made.wait(240) == 0, made.stdout.read()
    made.stdout.close()
    run("ALTER TABLE pgbench_history ADD COLUMN hid bigserial PRIMARY KEY")
    with isolate_apps("tests.shop"):
        published = [unmanaged(name, f"pgbench_{name}") for name in TABLES]
        copies = [unmanaged(name, f"copied_{name}") for name in TABLES]
    token = None
    for source, copy, name in zip(published, copies, TABLES, strict=True):
        run(f"CREATE TABLE copied_{name} (LIKE pgbench_{name} INCLUDING INDEXES)")
        pubsubpull.publish(source)
        pubsubpull.replicates(source._meta.label_lower, service="bank")(copy)
    try:
        call_command("pubsubpull_triggers", "--sync", verbosity=0)
        models = [source._meta.label_lower for source in published]
        token = consumers.add("bank", models, may_subscribe=True)[1]
        service = {"url": f"{live_server.url}/pubsubpull/", "token": token, "secrets": [signing.new_secret()]}
        given = {"SERVICE_NAME": "shop", "SERVICES": {"bank": service}, "CALLBACK_ADDRESSES": ["127.0.0.0/8"]}
        with override_settings(PUBSUBPULL=given):
            yield follower.Follower("bank", using="default")
    finally:
        for source, copy in zip(published, copies, strict=True):
            pubsubpull.unpublish(source)
            declaration.forget(copy)
        for name in TABLES:
            run(f"DROP TABLE IF EXISTS copied_{name}, pgbench_{name} CASCADE")


def sums(prefix):
    """Return the sums that agree in each committed state."""
    return looked_at(prefix)[:4]


def looked_at(prefix):
    """Return the sums, how much history there is, and where the replicas stand, all of one moment."""
    ((found),) = run(
        f"SELECT (SELECT sum(abalance) FROM {prefix}_accounts), (SELECT sum(tbalance) FROM {prefix}_tellers),"
        f" (SELECT sum(bbalance) FROM {prefix}_branches), (SELECT coalesce(sum(delta), 0) FROM {prefix}_history),"
        f" (SELECT count(*) FROM {prefix}_history), (SELECT array_agg(DISTINCT cursor) FROM pubsubpull_replica)"
    )
    return found


def ends_a_snapshot(cursors):
    """Say whether all stand at one place, which is not in the midst of a backlog."""
    (cursor,) = cursors
    return Cursor.decode(cursor).window is None


def check_while_it_changes(act, *options):
    """Look at the replicas while pgbench writes: at the end of each snapshot their sums agree."""
    checked, states, end = 0, set(), time.monotonic() + 120
    while checked <= 5 or len(states) <= 3:
        assert time.monotonic() < end, "it was not looked at while it changed"
        load = pgbench("--no-vacuum", f"--client={CLIENTS}", f"--time={SECONDS}", *options)
        while load.poll() is None:
            act()
            *balances, count, cursors = looked_at("copied")
            if ends_a_snapshot(cursors):
                assert len(set(balances)) == 1
                checked += 1
                states.add(count)
        output = load.stdout.read().decode()
        load.stdout.close()
        assert load.returncode == 0, output


def check_that_all_came():
    assert sums("copied") == sums("pgbench")
    assert run("SELECT count(*) > 0 FROM copied_history") == [(True,)]
    with services.get("bank").client() as client:
        for name in TABLES:
            differing = f"SELECT count(*) FROM (TABLE pgbench_{name} EXCEPT ALL TABLE copied_{name}) AS d"
            assert run(differing) == [(0,)]
            result = judge.compare(declaration.get(f"shop.copied{name}"), client, using="default")
            assert (result.suspects, result.differences) == (0, ())


class Sending(HttpTransport):
    """The real transport, which records that it was closed."""

    closed = False

    async def close(self):
        await super().close()
        self.closed = True


def test_at_the_end_of_each_snapshot_the_balances_agree(bank):
    bank.run_once()
    with services.get("bank").client() as client:
        check_while_it_changes(lambda: bank.steps.step(client))
    bank.run_once()
    check_that_all_came()


def test_at_the_end_of_each_snapshot_that_is_pushed_the_balances_agree(bank, live_server):
    bank.run_once()
    receive.subscribe(services.get("bank"), f"{live_server.url}/receive/bank/", using="default", batch=500)
    last = "SELECT coalesce(max(hid), 0) FROM pgbench_history EXCEPT SELECT coalesce(max(hid), 0) FROM copied_history"

    def work(*_):
        # A receiver that never catches up is always within a backlog. A busy machine can keep up with this rate.
        check_while_it_changes(lambda: None, "--rate=50")
        delivering.until(lambda: run(last) == [] and sums("copied") == sums("pgbench"), limit=120)

    delivering.run(work, Sending.of(conf.get()))
    check_that_all_came()
