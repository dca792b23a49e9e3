"""Numbers of thousands of digits and values nested thousands deep: every reader takes them, and none stops others."""

from __future__ import annotations

import csv
import io
import random
import string

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.history import export
from pubsubpull.models import Change, ReplicaState
from pubsubpull.pull import client
from pubsubpull.replica.handlers import declare as handlers
from tests.replicas.models import Customer, KindsSource
from tests.shop import models as shop_models

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "2" + "0" * 5000
VALUES = {
    "long": f'{{"n": {LONG}}}',
    "exponent": '{"n": 1e5000}',
    "point": f'{{"n": 0.{LONG}}}',
    "deep": "[" * 2000 + "]" * 2000,
    "objects": '{"a":' * 2000 + "1" + "}" * 2000,
    "very deep": "[" * 5000 + "]" * 5000,
}
COLUMNS = "UPDATE replicas_kindssource SET json = %s::jsonb WHERE id = %s"
EQUAL = "SELECT (SELECT json::text FROM replicas_kindssource) = (SELECT json::text FROM replicas_kindscopy)"


def run(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall() if cursor.description else []


def same():
    return run(EQUAL) == [(True,)]


@pytest.fixture(params=VALUES)
def row(request):
    """Make a row with such a value, in two changes."""
    made = KindsSource.objects.create(text="a")
    run(COLUMNS, VALUES[request.param], made.pk)
    return made.pk


def test_a_replica_takes_over_any_such_value_and_the_others_go_on(follower):
    follower.run_once()
    pk = KindsSource.objects.create(text="a").pk
    follower.run_once()
    for value in VALUES.values():
        run(COLUMNS, value, pk)
        shop_models.Customer.objects.create(name=value[:20])
        follower.run_once()
        assert same()
    assert Customer.objects.count() == len(VALUES)


def test_a_page_with_many_such_values_is_applied(follower):
    follower.run_once()
    rows = [KindsSource.objects.create(text="a").pk for _ in range(100)]
    for pk in rows:
        run(COLUMNS, VALUES["deep"], pk)
    follower.run_once()
    assert run("SELECT count(*) FROM replicas_kindscopy WHERE json IS NOT NULL") == [(100,)]


def test_copied_rows_and_files_have_them(row, follower, tmp_path):
    follower.run_once()
    assert same()
    file = tmp_path / "rows.gz"
    call_command("pubsubpull_dump", "replicas.kindssource", "--to", str(file))
    call_command("pubsubpull_dump", "replicas.kindssource", "--to", str(file), "--resume")
    call_command("pubsubpull_load", str(file), "--again", "--service", "shop", stdout=io.StringIO())
    assert same()


def test_handlers_get_them(row, follower):
    came = []

    @pubsubpull.on_change("replicas.kindssource", service="shop")
    def collect(change):
        came.append(change)

    try:
        follower.run_once()
        run("UPDATE replicas_kindssource SET text = 'b'")
        follower.run_once()
    finally:
        handlers.forget(collect)
    assert len(came) == 1


def test_the_client_gets_them(row, shop):
    with client.Client(shop["url"], shop["token"]) as service:
        items = service.changes("replicas.kindssource").items
        assert len(items) == 2
        assert next(iter(service.instances("replicas.kindssource"))).key == str(row)
        assert service.instance("replicas.kindssource", str(row)).data["text"] == "a"


def test_history_as_of_and_restore_have_them(row):
    whole = run("SELECT json::text FROM replicas_kindssource")
    found = pubsubpull.history(KindsSource, row)
    assert "json" in found[0].changed
    state = pubsubpull.as_of(KindsSource, row, timezone.now())
    assert state.data.keys() == found[0].new.keys()
    version = found[0].version
    run("UPDATE replicas_kindssource SET json = NULL, text = 'b'")
    assert set(pubsubpull.history(KindsSource, row)[0].changed) == {"json", "text"}
    pubsubpull.restore(KindsSource, row, version)
    assert run("SELECT json::text FROM replicas_kindssource") == whole
    assert pubsubpull.history(KindsSource, row)[0].new == found[0].new
    assert len(Change.objects.all()) == 4


def test_exports_have_each_digit_and_bracket(row):
    ((text,),) = run("SELECT json::text FROM replicas_kindssource")
    entries = pubsubpull.history(KindsSource, row)
    (line,) = b"".join(export.chunks(entries.entries[:1], kind="ndjson")).decode().splitlines()
    assert text.replace(" ", "") in line.replace(" ", "")
    csv.field_size_limit(10**6)
    rows = list(csv.reader(io.StringIO(b"".join(export.chunks(entries, kind="csv")).decode())))
    assert text.replace(" ", "") in [cell.replace(" ", "") for cell in rows[1]]


def test_the_admins_log_shows_them(row, client):
    client.force_login(User.objects.create_superuser("boss"))
    for query in ("", f"?model=replicas.kindssource&key={row}"):
        answer = client.get(f"/admin/pubsubpull/change/{query}")
        assert answer.status_code == 200
        assert len(answer.content) < 300_000
        assert b"json" in answer.content


@pytest.fixture
def shallow():
    """Let this session's PostgreSQL read less deep than the one of the source does."""
    run("SET max_stack_depth = '100kB'")
    yield
    run("RESET max_stack_depth")


def failing():
    return dict(ReplicaState.objects.exclude(last_error="").values_list("name", "last_error"))


def test_an_unreadable_value_is_named_and_stops_one_replica_only(follower, shallow):
    follower.run_once()
    made = KindsSource.objects.create(text="a")
    shop_models.Customer.objects.create(name="before")
    run("RESET max_stack_depth")
    run(COLUMNS, VALUES["very deep"], made.pk)
    run("SET max_stack_depth = '100kB'")
    shop_models.Customer.objects.create(name="after")
    version = Change.objects.defer("old", "new").filter(model="replicas.kindssource").latest("id").pk
    with pytest.raises(exceptions.ReplicaFailed, match=f"version {version} of replicas.kindssource {made.pk} cannot"):
        follower.run_once()
    assert set(Customer.objects.values_list("name", flat=True)) == {"before", "after"}
    assert set(failing()) == {"replicas.kindscopy"}


def test_a_value_that_is_too_long_for_a_replicas_index_stops_one_replica_only(follower):
    follower.run_once()
    run("CREATE INDEX too_long ON replicas_kindscopy (text)")
    try:
        KindsSource.objects.create(text="".join(random.Random(1).choices(string.ascii_letters, k=20_000)))
        shop_models.Customer.objects.create(name="after")
        with pytest.raises(exceptions.ReplicaFailed, match="index row"):
            follower.run_once()
    finally:
        run("DROP INDEX too_long")
    assert Customer.objects.get().name == "after"
    assert set(failing()) == {"replicas.kindscopy"}
