"""Moving rows by file, and putting them into the log again."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

from pubsubpull import exceptions
from pubsubpull.capture import registry
from pubsubpull.log import feed, resend
from pubsubpull.models import Change
from pubsubpull.pull import consumers, dump
from pubsubpull.replica import follower as replica_follower
from pubsubpull.replica.copy import load
from pubsubpull.replica.models import Copy, CopyPage, ReplicaState
from tests.replicas import models as here
from tests.sessions import session
from tests.shop import models as there

ODD = ' \u2028 },{"key": "\n\r'
HEAD = b'{"pubsubpull": 1, "service": "s", "model": "shop.customer", "cursor": "x"}\n'
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follower(live_server):
    token = consumers.add("billing", ["*"])[1]
    service = {"url": f"{live_server.url}/pubsubpull/", "token": token}
    with override_settings(PUBSUBPULL={"SERVICE_NAME": "shop", "SERVICES": {"shop": service}}):
        yield replica_follower.Follower("shop", using="default")


def write(count):
    there.Customer.objects.bulk_create(there.Customer(name=f"c{n}" + ODD, email=f"{n}@x") for n in range(count))


def dumped(model="shop.customer"):
    file = io.BytesIO()
    dump.dump(registry.get(model), file, using="default")
    return file.getvalue()


def loaded(data, **options):
    return load.load(io.BytesIO(data), using="default", **options)


def names(model):
    return list(model.objects.order_by("id").values_list("id", "name", "email"))


def test_a_dump_is_loaded_and_followed_from_its_cursor(follower):
    write(2500)
    data = dumped()
    assert len(gzip.decompress(data).split(b"\n")) == 2503
    there.Customer.objects.filter(name__startswith="c7").update(email="later")
    there.Customer.objects.filter(name__startswith="c8 ").delete()
    here.Customer.objects.create(pk=1, name="not in the dump")
    result = loaded(data)
    assert (result.rows, result.replicas) == (2500, ("replicas.customer", "replicas.shout"))
    assert here.Customer.objects.count() == 2500
    assert not Copy.objects.exists()
    follower.run_once()
    assert names(here.Customer) == names(there.Customer)
    assert not Copy.objects.exists()


def test_a_load_that_was_interrupted_goes_on_where_it_was(follower):
    write(2500)
    data = dumped()
    with pytest.raises(exceptions.DumpError, match="cut off"):
        loaded(data[: len(data) - 40])
    assert CopyPage.objects.count() == 2
    before = set(CopyPage.objects.values_list("pk", flat=True))
    assert loaded(data).rows == 2500
    assert names(here.Customer) == names(there.Customer)
    assert before
    assert not CopyPage.objects.exists()


def test_a_dump_that_was_interrupted_anywhere_is_taken_up_with_its_cursor(tmp_path):
    write(2100)
    whole = dumped()
    cursor = json.loads(gzip.decompress(whole).split(b"\n")[0])["cursor"]
    for cut in (0, 5, 200, len(whole) // 2, len(whole) - 100, len(whole) - 3, len(whole)):
        file = io.BytesIO(whole[:cut])
        there.Customer.objects.create(name="later")
        count = dump.resume(registry.get("shop.customer"), file, using="default")
        lines = gzip.decompress(file.getvalue()).decode().split("\n")
        keys = [json.loads(line)["key"] for line in lines[1:-2]]
        assert len(keys) == len(set(keys)) == count >= 2100
        assert json.loads(lines[-2]) == {"end": True, "rows": count}
        if cut > 200:
            assert json.loads(lines[0])["cursor"] == cursor


def packed(data):
    """Compress, the same whenever."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "first line"),
        (b"not compressed", "is not a dump, or is damaged"),
        (packed(b"a,b\n1,2\n"), "first line"),
        (packed(b"[1]\n"), "first line"),
        (packed(b"\xff\n"), "damaged"),
        (packed(b'{"pubsubpull": 2, "service": "s", "model": "shop.customer", "cursor": "x"}\n'), "format 2"),
        (packed(b'{"pubsubpull": 1, "service": "s", "model": "a.b", "cursor": "x"}\n'), "no replica"),
        (packed(b'{"pubsubpull": 1, "service": "s", "model": "shop.customer", "cursor": "x"}\n'), "cut off"),
        (
            packed(HEAD + b'{"x": 1}\n' * 999),
            "not a row of a dump",
        ),
        (
            packed(HEAD + b'{"end": true, "rows": 3}\n'),
            "ends with a count of 3",
        ),
    ],
)
def test_a_foreign_a_damaged_and_a_cut_file_get_a_clear_error(data, message):
    with pytest.raises(exceptions.PubSubPullError, match=message):
        loaded(data)
    assert not here.Customer.objects.exists()


def test_a_following_replica_is_not_reset_unless_told(follower):
    write(3)
    data = dumped()
    follower.run_once()
    with pytest.raises(exceptions.ReplicaError, match="--again"):
        loaded(data)
    there.Customer.objects.all().delete()
    follower.run_once()
    assert loaded(data, again=True).rows == 3
    assert here.Customer.objects.count() == 3
    follower.run_once()
    assert not here.Customer.objects.exists()


def test_the_commands_move_a_model_by_file(follower, tmp_path, capfdbinary):
    write(5)
    path = tmp_path / "customers.gz"
    call_command("pubsubpull_dump", "shop.Customer", to=str(path), stderr=io.StringIO())
    with pytest.raises(CommandError, match="exists"):
        call_command("pubsubpull_dump", "shop.customer", to=str(path))
    call_command("pubsubpull_dump", "shop.customer", to=str(path), resume=True, stderr=io.StringIO())
    with pytest.raises(CommandError, match=r"shop\.customer, not of shop\.order"):
        call_command("pubsubpull_dump", "shop.order", to=str(path), resume=True)
    with pytest.raises(CommandError, match="not published"):
        call_command("pubsubpull_dump", "shop.secret")
    with pytest.raises(CommandError, match="--resume needs"):
        call_command("pubsubpull_dump", "shop.order", resume=True)
    out = io.StringIO()
    call_command("pubsubpull_load", str(path), stdout=out)
    assert out.getvalue() == "5 rows of shop.customer are in replicas.customer, replicas.shout.\n"
    with pytest.raises(CommandError, match="No such file"):
        call_command("pubsubpull_load", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="no replica"):
        call_command("pubsubpull_load", str(path), service="other")


def test_resent_rows_are_changes_that_change_nothing_and_reach_every_reader(follower):
    write(3)
    there.Order.objects.create(reference="a", card="4711", internal_note="secret")
    follower.run_once()
    here.Customer.objects.all().delete()
    cursor = feed.present().cursor()
    assert resend.write(registry.get("shop.customer"), there.Customer.objects.all(), using="default") == 3
    assert resend.write(registry.get("shop.order"), there.Order.objects.all(), using="default") == 1
    items = json.loads(b"[" + feed.page(cursor, limit=10).items + b"]")
    assert [(item["op"], item["old"] == item["new"]) for item in items] == [("update", True)] * 4
    assert (items[-1]["new"]["card"], "internal_note" in items[-1]["new"]) == ("***", False)
    follower.run_once()
    assert names(here.Customer) == names(there.Customer)


def test_composite_and_odd_keys_are_resent():
    there.Stock.objects.create(warehouse="it's \\ \"x", article=1)
    assert resend.write(registry.get("shop.stock"), there.Stock.objects.all(), using="default") == 1
    assert Change.objects.latest("id").key == '["it\'s \\\\ \\"x", 1]'


def test_a_resent_row_never_hides_a_later_state():
    """A concurrent writer of the row waits for the lock, and so has the higher version."""
    row = there.Customer.objects.create(name="first")
    with session() as other:
        other.execute("BEGIN")
        with transaction.atomic():
            assert resend.write(registry.get("shop.customer"), there.Customer.objects.all(), using="default") == 1
            other.execute("SET LOCAL lock_timeout = '100ms'")
            with pytest.raises(Exception, match="lock timeout"):
                other.execute("UPDATE shop_customer SET name = 'second' WHERE id = %s", [row.pk])
            other.execute("ROLLBACK")
        other.execute("UPDATE shop_customer SET name = 'second' WHERE id = %s", [row.pk])
    versions = list(Change.objects.filter(key=str(row.pk)).order_by("id").values_list("new__name", flat=True))
    assert versions == ["first", "first", "second"]


def test_the_resend_command_picks_rows_as_a_query_does():
    write(3)
    out = io.StringIO()
    call_command("pubsubpull_resend", "shop.customer", "--filter", "email=1@x", "--filter", "id__gt=0", stdout=out)
    assert "1 rows of shop.customer are in the log once more." in out.getvalue()
    before = Change.objects.count()
    call_command("pubsubpull_resend", "shop.customer", "--all", "--dry-run", stdout=out)
    assert "3 rows of shop.customer would be sent again." in out.getvalue()
    assert Change.objects.count() == before
    for arguments, message in [
        (["shop.secret", "--all"], "not published"),
        (["shop.customer"], "--all"),
        (["shop.customer", "--filter", "nothing=1"], "nothing"),
        (["shop.customer", "--filter", "x"], "LOOKUP=VALUE"),
    ]:
        with pytest.raises(CommandError, match=message):
            call_command("pubsubpull_resend", *arguments)
    assert connection.get_autocommit()
    assert not ReplicaState.objects.exists()
