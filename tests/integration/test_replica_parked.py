"""A change that a replica cannot take: waited for, unless it is told to pass it, by a person or by its declaration."""

from __future__ import annotations

import dataclasses
import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from pubsubpull import exceptions, on_change
from pubsubpull.replica import checks, declaration, health, positions, services
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import Parked, ReplicaState
from pubsubpull.replica.parking import actions, store
from tests.replicas import models as here
from tests.sessions import session
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "replicas.customer"


@pytest.fixture(autouse=True)
def _only_customers(only):
    only(NAME, "replicas.stock")


@pytest.fixture
def refusing():
    """Let the replica's table refuse rows named `bad`."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE replicas_customer ADD CONSTRAINT no_bad CHECK (name <> 'bad')")
        yield lambda: cursor.execute("ALTER TABLE replicas_customer DROP CONSTRAINT no_bad")
        cursor.execute("ALTER TABLE replicas_customer DROP CONSTRAINT IF EXISTS no_bad")


@pytest.fixture
def command():
    """Run `pubsubpull_replicas`; return its output."""

    def run(*arguments):
        out = io.StringIO()
        call_command("pubsubpull_replicas", *arguments, stdout=out)
        return out.getvalue()

    return run


def rows():
    return dict(here.Customer.objects.values_list("id", "name"))


def follow(follower):
    """Follow up to now; say whether a replica failed."""
    positions.hurry("shop", "default")
    try:
        follower.run_once()
    except exceptions.ReplicaFailed:
        return False
    return True


def names():
    return dict(there.Customer.objects.values_list("id", "name"))


def test_without_being_asked_a_replica_passes_nothing_by(follower, refusing):
    bad = there.Customer.objects.create(name="good")
    follower.run_once()
    there.Customer.objects.filter(pk=bad.pk).update(name="bad")
    there.Customer.objects.create(name="other")
    for _ in range(12):
        assert not follow(follower)
    assert rows() == {bad.pk: "good"}
    assert not Parked.objects.exists()
    refusing()
    assert follow(follower)
    assert rows() == names()


def test_a_person_has_it_pass_one_change_and_other_keys_go_on(follower, refusing, command):
    one, two = there.Customer.objects.create(name="one"), there.Customer.objects.create(name="two")
    follower.run_once()
    assert "no change is parked" in command("park", NAME)
    there.Customer.objects.filter(pk=two.pk).update(name="two again")
    there.Customer.objects.filter(pk=one.pk).update(name="bad")
    there.Customer.objects.filter(pk=two.pk).update(name="and again")
    assert not follow(follower)
    assert f"of {one.pk} is parked: " in command("park", NAME)
    assert follow(follower)
    assert rows() == {one.pk: "one", two.pk: "and again"}
    there.Customer.objects.filter(pk=one.pk).update(name="fine again")
    there.Customer.objects.create(name="new")
    assert follow(follower)
    assert rows()[one.pk] == "one", "what comes after it waits for it"
    assert len(rows()) == 3
    told = command("parked", NAME)
    assert "no_bad" in told
    assert "it follows a parked change" in told
    assert "2 changes are set aside" in health.checks("default")[f"replica {NAME}"]
    assert store.of(NAME, "default").count() == 2
    with pytest.raises(CommandError, match="no_bad"):
        command("retry", NAME, "--all")
    assert store.of(NAME, "default").count() == 2, "all or none of a key"
    refusing()
    assert "2 changes applied" in command("retry", NAME, "--key", str(one.pk))
    there.Customer.objects.filter(pk=one.pk).update(name="later")
    assert follow(follower)
    assert rows() == names()
    assert health.checks("default")[f"replica {NAME}"] == "ok"


def test_a_dropped_change_is_skipped_for_good_and_the_keys_next_change_applies(follower, refusing, command):
    one = there.Customer.objects.create(name="one")
    follower.run_once()
    there.Customer.objects.filter(pk=one.pk).update(name="bad")
    assert not follow(follower)
    command("park", NAME)
    assert "version" in command("drop", NAME, "--all", "--dry-run")
    assert "1 changes dropped" in command("drop", NAME, "--all")
    assert follow(follower)
    assert rows() == {one.pk: "one"}
    there.Customer.objects.filter(pk=one.pk).update(name="next")
    assert follow(follower)
    assert rows() == {one.pk: "next"}


def test_a_replica_declared_so_parks_by_itself_after_tries(follower, refusing, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SET_ASIDE_AFTER": 3}
    declaration.add(dataclasses.replace(declaration.get(NAME), on_failure="park"))
    one = there.Customer.objects.create(name="one")
    follower.run_once()
    there.Customer.objects.filter(pk=one.pk).update(name="bad")
    other = there.Customer.objects.create(name="other")
    assert [follow(follower) for _ in range(3)] == [False, False, True]
    assert follow(follower)
    assert rows() == {one.pk: "one", other.pk: "other"}
    assert [(item.key, item.item["new"]["name"]) for item in store.of(NAME, "default")] == [(str(one.pk), "bad")]


def test_a_handler_has_the_changes_of_a_key_in_order_and_once_when_they_are_retried(follower):
    came, fails = [], {"poison"}

    def take(change):
        if change.new["name"] in fails:
            raise ValueError("I cannot")
        here.BigOrder.objects.create(id=change.version, quantity=1)
        came.append(change.new["name"])

    on_change("shop.customer", service="shop", ops=["insert", "update"])(take)
    try:
        one, two = there.Customer.objects.create(name="one"), there.Customer.objects.create(name="two")
        follower.run_once()
        for name in ("poison", "after"):
            there.Customer.objects.filter(pk=one.pk).update(name=name)
        there.Customer.objects.filter(pk=two.pk).update(name="two again")
        assert not follow(follower)
        with services.get("shop").client() as client:
            found = actions.park(NAME, client, using="default")
        assert (found.key, "I cannot" in found.error) == (str(one.pk), True)
        assert follow(follower)
        assert here.BigOrder.objects.count() == 1, "of what was tried and taken back nothing is left"
        assert actions.retry(NAME, using="default")[0].key == str(one.pk)
        fails.clear()
        came.clear()
        assert actions.retry(NAME, using="default") == []
        assert came == ["poison", "after"]
        assert here.BigOrder.objects.count() == 3
        assert rows() == names()
    finally:
        handlers.forget(take)


def test_a_truncate_and_a_new_copy_leave_nothing_set_aside(follower, refusing):
    def park():
        one = there.Customer.objects.create(name="one")
        assert follow(follower)
        there.Customer.objects.filter(pk=one.pk).update(name="bad")
        assert not follow(follower)
        with services.get("shop").client() as client:
            assert actions.park(NAME, client, using="default")

    park()
    with session() as other:
        other.execute("TRUNCATE shop_customer CASCADE")
    there.Customer.objects.create(name="after")
    assert follow(follower)
    assert not Parked.objects.exists()
    assert rows() == names()
    park()
    there.Customer.objects.filter(name="bad").update(name="fine")
    ReplicaState.objects.filter(name=NAME).update(shape="", state="copying", cursor="")
    assert follow(follower)
    assert not Parked.objects.exists()
    assert rows() == names()


def test_changes_waiting_for_another_replica_are_not_parked_and_parking_has_a_limit(follower, refusing, settings):
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "SET_ASIDE_LIMIT": 1}
    one, two = there.Customer.objects.create(name="one"), there.Customer.objects.create(name="two")
    follower.run_once()
    there.Customer.objects.update(name="bad")
    assert not follow(follower)
    with services.get("shop").client() as client:
        assert actions.park(NAME, client, using="default").key in {str(one.pk), str(two.pk)}
        assert not follow(follower)
        with pytest.raises(exceptions.ReplicaError, match="set aside already"):
            actions.park(NAME, client, using="default")
        with pytest.raises(exceptions.ReplicaError, match="is not followed"):
            actions.park("replicas.nothing", client, using="default")


def test_a_retrying_operator_and_a_follower_never_apply_one_change_twice(follower, refusing):
    """The retry locks the service's positions; the second finds nothing left."""
    one = there.Customer.objects.create(name="one")
    follower.run_once()
    there.Customer.objects.filter(pk=one.pk).update(name="bad")
    assert not follow(follower)
    with services.get("shop").client() as client:
        actions.park(NAME, client, using="default")
    refusing()
    assert actions.retry(NAME, using="default") == []
    assert actions.retry(NAME, key=str(one.pk), using="default") == []
    assert follow(follower)
    assert rows() == names()


def test_a_change_retried_before_its_page_has_passed_calls_handlers_once(follower):
    came, fails = [], {"poison"}

    def take(change):
        if change.new["name"] in fails:
            raise ValueError("I cannot")
        came.append(change.new["name"])

    on_change("shop.customer", service="shop", ops=["update"])(take)
    try:
        one = there.Customer.objects.create(name="one")
        follower.run_once()
        for name in ("poison", "after"):
            there.Customer.objects.filter(pk=one.pk).update(name=name)
        assert not follow(follower)
        with services.get("shop").client() as client:
            actions.park(NAME, client, using="default")
        fails.clear()
        came.clear()
        assert actions.retry(NAME, using="default") == []
        assert follow(follower)
        assert came == ["poison", "after"]
        assert not Parked.objects.exists()
        assert rows() == names()
    finally:
        handlers.forget(take)


def test_once_says_that_it_is_up_to_date_only_where_every_replica_is(follower, refusing, command):
    def once():
        out = io.StringIO()
        call_command("pubsubpull_follow", "--once", stdout=out, stderr=out)
        return out.getvalue()

    one = there.Customer.objects.create(name="one")
    assert "Up to date." in once()
    there.Customer.objects.filter(pk=one.pk).update(name="bad")
    for _ in range(2):
        with pytest.raises(CommandError, match=r"(?s)Not up to date.*replicas.customer.*no_bad"):
            once()
    command("park", NAME)
    assert f"Up to date, except for parked changes: 1 of {NAME}." in once()
    refusing()
    command("retry", NAME, "--all")
    assert "Up to date." in once()


def test_once_names_a_column_that_the_source_does_not_send(follower, caplog):
    (column,) = [one for one in declaration.get(NAME).columns if one.name == "email"]
    others = tuple(one for one in declaration.get(NAME).columns if one.name != "email")
    misspelt = dataclasses.replace(
        declaration.get(NAME), columns=(*others, dataclasses.replace(column, source="emial")), statements={}
    )
    declaration.add(misspelt)
    there.Customer.objects.create(name="one", email="a@b.example")
    out = io.StringIO()
    call_command("pubsubpull_follow", "--once", stdout=out, stderr=out)
    assert f"{NAME}: its source does not send emial" in out.getvalue()
    assert "shop.customer does not send emial" in caplog.text
    out = io.StringIO()
    call_command("pubsubpull_compare", NAME, stdout=out)
    assert "1 rows, equal to shop.customer, but for emial, which the source does not send." in out.getvalue()
    (warning,) = checks.check_columns(databases=["default"])
    assert f"{NAME}: its source does not send emial" in warning.msg
    assert checks.check_columns(databases=[]) == []


def test_on_failure_is_wait_or_park():
    with pytest.raises(exceptions.ReplicaError, match="on_failure"):
        on_change("shop.customer", service="shop", on_failure="ignore")(print)
