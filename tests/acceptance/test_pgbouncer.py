"""Behind a pooler that gives each transaction another session."""

from __future__ import annotations

import os
import pathlib
import pwd
import shutil
import tempfile

import psycopg
import pytest
from django.db import connection, transaction

import pubsubpull
from pubsubpull.audit.models import Request
from pubsubpull.log import feed
from pubsubpull.log.models import Change
from tests import processes
from tests.sessions import names
from tests.shop.models import Customer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def pooled():
    """Put a PgBouncer with two server sessions between Django and the test database."""
    program = processes.require("pgbouncer", "/usr/sbin")
    server, port = names(), processes.free_port()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    target = " ".join(f"{key}={value}" for key, value in server.items())
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{server['dbname']} = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n"
        "ignore_startup_parameters = extra_float_digits\nserver_idle_timeout = 1\n"
    )
    command = [program, str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        folder.chmod(0o755)
        command[1:1] = ["-u", pwd.getpwnam("nobody").pw_name]
    log = folder / "log"
    log.touch(0o666)
    settings = connection.settings_dict
    before = {key: settings[key] for key in ("HOST", "PORT", "DISABLE_SERVER_SIDE_CURSORS")}
    connection.close()
    with processes.running(*command, log=log):
        processes.until(lambda: reachable(server | {"port": port}), log=log)
        settings.update(HOST="127.0.0.1", PORT=port, DISABLE_SERVER_SIDE_CURSORS=True)
        yield server | {"port": port}
        connection.close()
        settings.update(before)
    shutil.rmtree(folder)


def reachable(given):
    try:
        psycopg.connect(**given, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_context_holds_for_its_transaction_and_leaves_nothing_on_the_session(pooled):
    start = feed.present().cursor()
    with pubsubpull.context(user="ann"):
        Customer.objects.create(name="autocommit")
        with transaction.atomic():
            Customer.objects.create(name="atomic")
            with transaction.atomic():
                Customer.objects.update(email="x")
    for _ in range(4):
        others = [psycopg.connect(**pooled, autocommit=True) for _ in range(2)]
        for other in others:
            other.execute("INSERT INTO shop_customer (name, email) VALUES ('other', '')")
            other.close()
    users = dict(Request.objects.values_list("id", "user_name"))
    found = [
        (c.new["name"], users.get(c.request_id)) for c in Change.objects.filter(model="shop.customer", id__gt=start.seq)
    ]
    assert found[:4] == [("autocommit", "ann"), ("atomic", "ann"), ("autocommit", "ann"), ("atomic", "ann")]
    assert set(found[4:]) == {("other", None)}
    assert feed.page(start, limit=100).count == len(found)
