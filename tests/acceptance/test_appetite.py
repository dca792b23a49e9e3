"""Workers and followers within the limits of the system and of their role."""

from __future__ import annotations

import contextlib
import http.server
import json
import sys
import threading

import pytest
from django.db import connection

from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import processes
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

MANY = 150
TIMES = {"POLL_INTERVAL": 0.01, "IDLE_INTERVAL": 0.05, "BACKOFF_FIRST": 0.05, "BACKOFF_LIMIT": 0.2}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came += [item["version"] for item in json.loads(body)["items"]]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def receivers(count):
    """Run so many receivers, each on a port of its own."""
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(count)]
    for one in servers:
        one.came, one.daemon_threads = [], True
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True).start()
    try:
        yield servers
    finally:
        threads = [threading.Thread(target=one.shutdown) for one in servers]
        for thread in threads:
            thread.start()
        for thread, one in zip(threads, servers, strict=True):
            thread.join()
            one.server_close()


def test_a_worker_with_few_descriptors_serves_more_receivers_than_that(tmp_path, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SUBSCRIPTIONS": MANY}
    consumer, _ = consumers.add("mirror", ["*"], may_subscribe=True)
    log = tmp_path / "deliver.log"
    with receivers(MANY) as servers:
        for number, one in enumerate(servers):
            wish = service.SubscriptionSpec(callback=f"http://127.0.0.1:{one.server_port}/", models=["shop.customer"])
            service.put(consumer, f"s{number}", wish)
        few = ("sh", "-c", 'ulimit -n 64 && exec "$0" manage.py pubsubpull_deliver', sys.executable)
        with processes.running(
            *few, log=log, DJANGO_SETTINGS_MODULE="tests.delivery_settings", PUBSUBPULL_SETTINGS=json.dumps(TIMES)
        ) as worker:
            for turn in range(3):
                Customer.objects.create(name=str(turn))
                processes.until(lambda turn=turn: all(len(set(one.came)) == turn + 1 for one in servers), log=log)
            assert worker.poll() is None
    said = log.read_text()
    assert set(Subscription.objects.values_list("state", flat=True)) == {"active"}
    assert "is failing" not in said
    assert "Traceback" not in said
    assert f"there are {MANY} subscriptions, and this worker may have 24 connections" in said


SLOW = """
    CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END $$;
    CREATE TRIGGER slowly BEFORE INSERT ON replicas_customer FOR EACH ROW EXECUTE FUNCTION slowly()"""


@pytest.fixture
def slowly():
    """Let each row of the replica take a millisecond."""
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
        yield
        cursor.execute("DROP FUNCTION slowly() CASCADE")


def different():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (TABLE shop_customer EXCEPT TABLE replicas_customer) AS d")
        return cursor.fetchone()[0]


def test_a_follower_whose_role_has_short_time_outs_asks_for_smaller_pages(tmp_path, slowly):
    token = consumers.add("billing", ["*"])[1]
    given = {"DJANGO_SETTINGS_MODULE": "tests.replica_settings", "SHOP_TOKEN": token}
    follow = (sys.executable, "-m", "django", "pubsubpull_follow", "--once")
    log = tmp_path / "follow.log"
    limits = {"statement_timeout": 400, "idle_in_transaction_session_timeout": 400, "lock_timeout": 100}
    with processes.gunicorn(tmp_path) as url, connection.cursor() as cursor:
        given["SHOP_URL"] = f"{url}/pubsubpull/"
        with processes.running(*follow, log=log, **given) as first:
            assert first.wait(60) == 0, log.read_text()
        cursor.execute("INSERT INTO shop_customer (name, email) SELECT 'n', 'e' FROM generate_series(1, 4000)")
        options = " ".join(f"-c {name}={value}" for name, value in limits.items())
        with processes.running(*follow, log=log, PGOPTIONS=options, **given) as second:
            assert second.wait(170) == 0, log.read_text()[-2000:]
    assert different() == 0
    assert "a time-out of the database ended a page" in log.read_text()
