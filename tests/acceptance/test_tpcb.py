"""TPC-B by pgbench: what replicas hold at the end of each snapshot is a state that the source has had."""

from __future__ import annotations

import os
import subprocess

import pytest
from django.core.management import call_command
from django.db import connection, models
from django.test import override_settings
from django.test.utils import isolate_apps

import pubsubpull
from pubsubpull.capture.cursor import Cursor
from pubsubpull.pull import consumers
from pubsubpull.replica import compare, declared, follow, services
from pubsubpull.replica.models import ReplicaState
from tests import processes, sessions

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
    assert made.wait(120) == 0, made.stdout.read()
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
        token = consumers.add("bank", [source._meta.label_lower for source in published])[1]
        service = {"url": f"{live_server.url}/pubsubpull/", "token": token}
        with override_settings(PUBSUBPULL={"SERVICE_NAME": "shop", "SERVICES": {"bank": service}}):
            yield follow.Follower("bank", using="default")
    finally:
        for source, copy in zip(published, copies, strict=True):
            pubsubpull.unpublish(source)
            declared.forget(copy)
        for name in TABLES:
            run(f"DROP TABLE IF EXISTS copied_{name}, pgbench_{name} CASCADE")


def sums(prefix):
    """Return the sums that agree in each committed state."""
    ((found),) = run(
        f"SELECT (SELECT sum(abalance) FROM {prefix}_accounts), (SELECT sum(tbalance) FROM {prefix}_tellers),"
        f" (SELECT sum(bbalance) FROM {prefix}_branches), (SELECT coalesce(sum(delta), 0) FROM {prefix}_history)"
    )
    return found


def ends_a_snapshot():
    cursors = set(ReplicaState.objects.values_list("cursor", flat=True))
    return len(cursors) == 1 and "" not in cursors and Cursor.decode(cursors.pop()).window is None


def test_at_the_end_of_each_snapshot_the_balances_agree(bank):
    bank.run_once()
    assert ends_a_snapshot()
    load = pgbench("--no-vacuum", f"--client={CLIENTS}", f"--time={SECONDS}")
    checked, states = 0, set()
    with services.get("bank").client() as client:
        while load.poll() is None:
            bank.step(client)
            if ends_a_snapshot():
                accounts, tellers, branches, history = sums("copied")
                assert accounts == tellers == branches == history
                checked += 1
                states.add(run("SELECT count(*) FROM copied_history")[0][0])
        output = load.stdout.read().decode()
        load.stdout.close()
        assert load.returncode == 0, output
        bank.run_once()
        assert checked > 5
        assert len(states) > 3, "it was looked at while it changed"
        assert sums("copied") == sums("pgbench")
        assert run("SELECT count(*) > 0 FROM copied_history") == [(True,)]
        for name in TABLES:
            differing = f"SELECT count(*) FROM (TABLE pgbench_{name} EXCEPT ALL TABLE copied_{name}) AS d"
            assert run(differing) == [(0,)]
            result = compare.compare(declared.get(f"shop.copied{name}"), client, using="default")
            assert (result.suspects, result.differences) == (0, ())
