"""Within a pool of psycopg's, whose sessions go from one thread to another."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

import pubsubpull
from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _pooled():
    """Take connections from a pool with a single session."""
    pytest.importorskip("psycopg_pool", reason="psycopg has its pool in a package of its own")
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    options["pool"] = {"min_size": 1, "max_size": 1}
    yield
    connection.close()
    connection.close_pool()
    del options["pool"]


@pytest.mark.usefixtures("_pooled")
def test_the_next_user_of_a_session_inherits_nothing():
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change, pubsubpull_request")
    sessions = set()

    def work(name):
        try:
            if name:
                with pubsubpull.context(user=name), transaction.atomic():
                    Customer.objects.create(name=name)
            Customer.objects.create(name="nobody")
            sessions.add(connection.connection.info.backend_pid)
        finally:
            connections.close_all()

    connection.close()
    for name in ("ann", None, "bob", "ann"):
        thread = threading.Thread(target=work, args=(name,))
        thread.start()
        thread.join(60)
    users = dict(Request.objects.values_list("id", "user_name"))
    changes = Change.objects.filter(model="shop.customer")
    found = [(c.new["name"], users.get(c.request_id)) for c in changes]
    nobody = ("nobody", None)
    assert found == [("ann", "ann"), nobody, nobody, ("bob", "bob"), nobody, ("ann", "ann"), nobody]
    assert len(sessions) == 1
