"""Seals over the log's past, and erasing from it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull.audit import seals, trail
from pubsubpull.capture import feed, sql
from pubsubpull.models import Change, Request
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_seal, pubsubpull_erasure")
    run("UPDATE pubsubpull_log SET dropped = 0")
    with pubsubpull.context(user="ann", path="/x"):
        for name in "abcdefg":
            Customer.objects.create(name=name)
    settle()


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def settle():
    for _ in range(2):
        run("SELECT pubsubpull_settle()")


def command(name, *arguments):
    out = io.StringIO()
    try:
        call_command(f"pubsubpull_{name}", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def seal():
    """Seal by three changes, and return the last hash."""
    return command("seal", "--age", "0", "--size", "3").splitlines()[-1]


def changes():
    return list(Change.objects.order_by("id"))


def test_what_was_sealed_verifies_and_later_seals_go_on_from_it():
    first = seal()
    assert seals.count("default").count == 3
    assert "7 changes are as they were sealed, by 3 seals" in command("verify", "--expect", first)
    assert seal() == first, "there is nothing more to seal"
    Customer.objects.create(name="h")
    settle()
    second = seal()
    assert second != first
    for expected in (first, second):
        assert "8 changes are as they were" in command("verify", "--expect", expected)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (
            "UPDATE pubsubpull_change SET new = jsonb_set(new, '{{name}}', '\"z\"') WHERE id = {id}",
            "change {id} altered",
        ),
        ("UPDATE pubsubpull_change SET at = at - interval '1 s' WHERE id = {id}", "change {id} altered"),
        ("DELETE FROM pubsubpull_change WHERE id = {id}", "change {id} missing"),
        ("UPDATE pubsubpull_request SET user_name = 'bob'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET op = 'E', old = NULL, new = NULL WHERE id = {id}", "change {id} altered"),
        ("DELETE FROM pubsubpull_seal WHERE id = 2", "seal 2 is missing"),
        ("UPDATE pubsubpull_seal SET digest = sha256('x') WHERE id = 2", "seal 2, of"),
        ("UPDATE pubsubpull_seal SET hash = sha256('x') WHERE id = 1", "seal 2, of"),
    ],
)
def test_a_past_that_was_changed_is_found_and_the_place_named(statement, place):
    expected = seal()
    id_ = changes()[4].id
    run(statement.format(id=id_))
    found = command("verify", "--expect", expected)
    assert place.format(id=id_) in found
    assert "is not what was sealed" in found


def test_a_change_that_was_put_in_is_found():
    with session() as other:
        run("SELECT nextval('pubsubpull_change_id_seq')")
        gap = Change.objects.latest("id").id + 1
        Customer.objects.create(name="h")
        settle()
        seal()
        other.execute(
            "INSERT INTO pubsubpull_change (id, model, op, key) VALUES (%s, 'shop.customer', 'I', '9')", [gap]
        )
    assert f"change {gap} put in" in command("verify")


def test_who_seals_anew_what_was_altered_is_found_by_the_hash_that_was_kept():
    expected = seal()
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [changes()[0].id])
    run("TRUNCATE pubsubpull_seal")
    seal()
    assert "7 changes are as they were" in command("verify")
    assert "No seal has the hash that is expected" in command("verify", "--expect", expected)


def test_a_change_that_may_still_be_on_its_way_is_not_sealed():
    with session() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO shop_customer (name, email) VALUES ('late', '')")
        Customer.objects.create(name="h")
        settle()
        seal()
        assert sum(len(ids) for (ids,) in sql.run("default", sql.sql.SQL("SELECT ids FROM pubsubpull_seal"))) == 7
        other.execute("COMMIT")
    settle()
    seal()
    assert "9 changes are as they were" in command("verify")


def test_young_changes_are_left_for_later():
    assert "nothing to seal yet" in command("seal")
    assert "must be 0 or more" in command("seal", "--age", "-1")


def test_what_went_by_retention_is_said_and_the_rest_verifies():
    seal()
    cut = changes()[1].id
    run("DELETE FROM pubsubpull_change WHERE id <= %s", [cut])
    run("UPDATE pubsubpull_log SET dropped = %s", [cut])
    found = command("verify")
    assert "5 changes are as they were" in found
    assert f"up to version {cut} have gone by retention" in found
    run("DELETE FROM pubsubpull_change WHERE id = %s", [cut + 1])
    assert f"change {cut + 1} missing" in command("verify")


def test_an_erased_object_leaves_a_record_and_the_seals_hold():
    customer = Customer.objects.get(name="b")
    key = str(customer.pk)
    customer.delete()
    settle()
    expected = seal()
    assert "2 changes of shop.customer" in command("erase", "shop.customer", key)
    assert Change.objects.filter(op="E").count() == 0, "without --yes nothing is done"
    assert "2 changes" in command("erase", "Shop.Customer", key, "--yes", "--by", "dpo", "--reason", "asked")
    assert {(change.op, change.old, change.new) for change in Change.objects.filter(key=key)} == {("E", None, None)}
    found = command("verify", "--expect", expected)
    assert "8 changes are as they were" in found
    assert "2 changes were erased on request" in found
    page = json.loads(f"[{feed.page(feed.present().start(), limit=100).items.decode()}]")
    assert {item["key"] for item in page}.isdisjoint({key})
    assert len(page) == 6
    trail_ = json.loads(f"[{trail.page('shop.customer', key, before=None, limit=10, using='default').items}]")
    assert [item["op"] for item in trail_] == ["erase", "erase"]
    assert trail_[0]["request"] or Request.objects.exists()
    assert "0 changes" in command("erase", "shop.customer", key, "--yes")


def test_what_cannot_be_erased_says_why():
    assert "is not published" in command("erase", "shop.nothing", "1")
    assert "has no changes" in command("erase", "shop.customer", "99999999")


def test_two_that_seal_at_once_seal_one_after_the_other():
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT pubsubpull_seal(3, interval '0')")
        with session() as third:
            third.execute("SET lock_timeout = '100ms'")
            with pytest.raises(Exception, match="lock timeout"):
                third.execute("SELECT pubsubpull_seal(3, interval '0')")
        other.execute("COMMIT")
    seal()
    assert "7 changes are as they were sealed, by 3 seals" in command("verify")
