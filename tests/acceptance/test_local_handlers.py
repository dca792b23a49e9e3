"""Workers that call local handlers, as processes: each event once, whatever is killed when."""

from __future__ import annotations

import sys
import time

import psycopg
import pytest
from django.db import connection, transaction

import pubsubpull
from pubsubpull.replica.models import ReplicaState
from tests import processes
from tests.replicas.models import Note
from tests.sessions import names
from tests.shop.events import OrderPlaced

pytestmark = pytest.mark.django_db(transaction=True)


def worker(tmp_path, **env):
    return processes.running(sys.executable, "-m", "tests.handling", log=tmp_path / "work.log", **env)


def place(*orders):
    with transaction.atomic():
        pubsubpull.emit_many([OrderPlaced(order=order, total=1) for order in orders])


def noted(begin=""):
    texts = Note.objects.order_by("id").values_list("text", flat=True)
    return [text for text in texts if text.startswith("again ") == bool(begin)]


def test_a_worker_that_is_killed_between_an_effect_and_its_commit_handles_each_event_once(tmp_path):
    place(1, 2, 3)
    with worker(tmp_path, KILLED_AT="2") as process:
        process.wait(60)
        assert process.returncode == -9
    assert noted() in ([], ["1"])
    with worker(tmp_path):
        processes.until(lambda: len(noted("again")) == 3 and len(noted()) >= 3, log=tmp_path / "work.log")
        place(4)
        processes.until(lambda: len(noted("again")) == 4 and len(noted()) >= 4, log=tmp_path / "work.log")
    assert noted() == ["1", "2", "3", "4"]


def test_several_workers_at_once_handle_each_event_once_and_in_order(tmp_path):
    with worker(tmp_path), worker(tmp_path), worker(tmp_path):
        for start in range(0, 300, 3):
            place(*range(start, start + 3))
        processes.until(lambda: len(noted()) >= 300 and len(noted("again")) >= 300, log=tmp_path / "work.log")
    assert noted() == [str(order) for order in range(300)]
    assert noted("again") == [f"again {order}" for order in range(300)]


def test_a_worker_says_what_it_does_handles_events_soon_and_ends_at_a_signal(tmp_path):
    with worker(tmp_path) as process:
        processes.until(lambda: ReplicaState.objects.filter(name="noting").exists(), log=tmp_path / "work.log")
        took = []
        for order in range(20):
            began = time.monotonic()
            place(order)
            processes.until(lambda order=order: len(noted()) > order, log=tmp_path / "work.log")
            took.append(time.monotonic() - began)
        process.terminate()
        assert process.wait(30) == 0
    assert sorted(took)[10] < 1.0
    assert "noting for shop.orderplaced" in (tmp_path / "work.log").read_text()


def test_a_worker_outlives_a_database_that_ends_its_connections(tmp_path):
    place(1)
    with worker(tmp_path):
        processes.until(lambda: len(noted()) == 1, log=tmp_path / "work.log")
        with psycopg.connect(**names(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)",
                [connection.connection.info.backend_pid],
            )
        place(2)
        processes.until(lambda: len(noted()) >= 2, log=tmp_path / "work.log")
    assert noted() == ["1", "2"]
