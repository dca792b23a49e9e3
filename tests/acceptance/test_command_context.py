"""A management command, as a process of its own, is the context of its changes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.db import connection

from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from tests import processes

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

WRITES = """
import pubsubpull
from tests.shop.models import Customer
Customer.objects.create(name="one")
Customer.objects.create(name="two")
with pubsubpull.context(source="import", user="ann"):
    Customer.objects.create(name="three")
"""


def test_a_commands_changes_name_the_command():
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change, pubsubpull_request")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": processes.test_database_url(),
    }
    command = [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", WRITES]
    subprocess.run(command, cwd=processes.ROOT, env=environment, check=True, timeout=180)
    requests = {r.id: (r.source, r.metadata, r.user_name) for r in Request.objects.all()}
    shell = ("command", {"command": "shell"}, None)
    found = [(c.new["name"], requests[c.request_id]) for c in Change.objects.filter(model="shop.customer")]
    assert found == [("one", shell), ("two", shell), ("three", ("import", {"command": "shell"}, "ann"))]
    assert len(requests) == 2
