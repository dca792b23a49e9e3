"""All rows by push, from real workers that are killed on the way, while others write."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from django.db import connection

from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.processes import until
from tests.receivers import Receiver, serving
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
TIMES = {"LEASE": 1, "POLL_INTERVAL": 0.01, "IDLE_INTERVAL": 0.05, "BACKOFF_FIRST": 0.05, "BACKOFF_LIMIT": 0.2}


def start(log):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.delivery_settings",
        "PUBSUBPULL_DATABASE": connection.settings_dict["NAME"],
        "PUBSUBPULL_SETTINGS": json.dumps(TIMES),
    }
    command = [sys.executable, "manage.py", "pubsubpull_deliver"]
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def apply(pages):
    """Return the rows of a receiver that applies newer versions only."""
    held = {}
    for item in (item for page in pages for item in page["items"]):
        version, _ = held.get(item["key"], (-1, None))
        if item["version"] > version:
            held[item["key"]] = item["version"], item["new"] and item["new"]["name"]
    return {key: name for key, (_, name) in held.items() if name is not None}


def test_rows_go_on_after_a_kill_and_no_change_is_missed(tmp_path):
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)
    Customer.objects.bulk_create(Customer(name=f"before {n}") for n in range(100))
    with serving(Receiver()) as receiver, (tmp_path / "log").open("wb") as log:
        wish = service.SubscriptionSpec(callback=receiver.url, models=["shop.customer"], batch=5, instances=True)
        made, _ = service.put(consumer, "main", wish)
        receiver.secret = service.secret_of(made)
        for pages in (3, 9):
            worker = start(log)
            try:
                receiver.wait(lambda came, pages=pages: len(came) >= pages)
                Customer.objects.filter(pk__in=Customer.objects.order_by("-pk")[:3]).update(name=f"after {pages}")
                Customer.objects.order_by("pk").first().delete()
                Customer.objects.create(name=f"new {pages}")
            finally:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
        worker = start(log)
        try:
            there = {str(one.pk): one.name for one in Customer.objects.all()}
            until(lambda: apply(receiver.came) == there)
            until(lambda: Subscription.objects.get().backfill == "")
        finally:
            worker.terminate()
            worker.wait()
        snapshots = sum(item["op"] == "snapshot" for page in receiver.came for item in page["items"])
        assert snapshots < 200, "a kill does not begin all anew"
        assert not receiver.failures
