"""A row that PostgreSQL cannot give as JSON is named: to readers of its page, in a copy, and in a comparison."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection
from django.test import override_settings

from pubsubpull import exceptions
from pubsubpull.capture import registry
from pubsubpull.pull import consumers, dump, hashes, instances, unreadable
from pubsubpull.replica import health
from pubsubpull.replica.models import ReplicaState
from pubsubpull.subscriptions import service
from pubsubpull.subscriptions.models import Subscription
from tests import delivering
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)

MAKE = """
CREATE TYPE brittle AS ENUM ('good', 'bad');
CREATE FUNCTION brittle_json(value brittle) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    IF value = 'bad' THEN
        RAISE 'the secret 13' USING ERRCODE = '{code}';
    END IF;
    RETURN to_json(value::text);
END $$;
CREATE CAST (brittle AS json) WITH FUNCTION brittle_json(brittle);
ALTER TABLE shop_customer ADD brittle brittle;
"""
DROP = "ALTER TABLE shop_customer DROP brittle; DROP TYPE brittle CASCADE"


@contextlib.contextmanager
def broken(*numbers, code="54001"):
    """Have these of twenty customers be unreadable."""
    customers = there.Customer.objects.bulk_create(there.Customer(name=f"c{n}") for n in range(20))
    keys = [customers[n].pk for n in numbers]
    with connection.cursor() as run:
        run.execute(MAKE.format(code=code))
        try:
            run.execute("SET session_replication_role = replica")  # the triggers could not write it either
            run.execute("UPDATE shop_customer SET brittle = 'good'")
            run.execute("UPDATE shop_customer SET brittle = 'bad' WHERE id = ANY (%s)", [keys])
            run.execute("RESET session_replication_role")
            yield [str(key) for key in keys]
        finally:
            run.execute(DROP)


def customers():
    return registry.get("shop.customer")


@pytest.mark.parametrize("code", ["54001", "22012", "XX001", "P0001"])
@pytest.mark.parametrize("number", [0, 7, 19])
def test_the_first_such_row_of_a_page_is_named(number, code):
    """Values nested too deep, values that a function refuses, damaged ones, and what an extension raises."""
    with broken(number, 19, code=code) as (key, _):
        with pytest.raises(exceptions.Unreadable, match=rf"^shop\.customer {key} cannot be read.*{code}") as raised:
            instances.page(customers(), after=None, limit=1000, using="default")
        assert (raised.value.label, raised.value.key) == ("shop.customer", key)
        assert "secret" not in str(raised.value)
        with pytest.raises(exceptions.Unreadable, match=key):
            instances.one(customers(), key, using="default")
        with pytest.raises(exceptions.Unreadable, match=key):
            hashes.rows(customers(), [key], using="default")
        with pytest.raises(exceptions.InvalidKey):
            instances.page(customers(), after="x", limit=1000, using="default")


def test_from_the_highest_key_down_it_is_the_last():
    with broken(3, 12) as (_, key), pytest.raises(exceptions.Unreadable, match=rf"customer {key} "):
        instances.page(customers(), after=None, limit=1000, using="default", newest=True)


def test_pages_before_it_are_given():
    with broken(15) as (key,):
        page = instances.page(customers(), after=None, limit=10, using="default")
        assert page.count == 10
        with pytest.raises(exceptions.Unreadable, match=rf"customer {key} "):
            instances.page(customers(), after=page.last, limit=10, using="default")


def test_the_search_ends_in_time():
    def read(past, limit):
        raise DataError

    with override_settings(PUBSUBPULL={"CALL_LIMIT": 1e-9}):
        assert unreadable.first(customers(), read, past=None, most=1000, using="default") is None
    assert str(unreadable.error_of(customers(), None, DataError())) == (
        "A row of shop.customer cannot be read: PostgreSQL fails to write it as JSON (DataError)."
    )


@pytest.mark.parametrize("atomic", [False, True])
def test_the_answer_names_it_and_is_not_tried_again(client, atomic):
    """In the transaction of a request, too."""
    token = consumers.add("billing", ["*"])[1]
    connection.settings_dict["ATOMIC_REQUESTS"] = atomic
    try:
        with broken(7) as (key,):
            for path in ("instances/", f"instances/{key}/", "hashes/", "hashes/rows/", f"rows/?wanted=[%22{key}%22]"):
                answer = client.get(
                    f"/pubsubpull/models/shop.customer/{path}", headers={"authorization": f"Bearer {token}"}
                )
                told = json.loads(answer.content)
                assert (answer.status_code, told["type"]) == (500, "urn:pubsubpull:problem:unreadable"), path
                assert f"shop.customer {key} " in told["detail"], path
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


def test_a_dump_names_it():
    with broken(7) as (key,), pytest.raises(exceptions.Unreadable, match=f"customer {key} "):
        dump.dump(customers(), io.BytesIO(), using="default")


def test_a_copy_names_it_and_the_other_replicas_are_copied(follower, capsys):
    there.Stock.objects.create(warehouse="w", article=1)
    with broken(7) as (key,):
        with pytest.raises(exceptions.ReplicaFailed, match=rf"shop\.customer {key} cannot be read"):
            follower.run_once()
        assert here.Stock.objects.exists()
        state = ReplicaState.objects.get(name="replicas.customer")
        assert f"shop.customer {key} cannot be read" in state.last_error
        assert f"shop.customer {key} " in health.checks("default")["replica replicas.customer"]
        call_command("pubsubpull_replicas", "list")
        assert f"shop.customer {key} " in capsys.readouterr().out
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    assert here.Customer.objects.count() == 20


def test_a_subscription_whose_rows_are_sent_first_names_it_and_goes_on_once_it_is_mended():
    consumer = consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]

    def work(_, transport):
        with broken(7) as (key,):
            given = {"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], "instances": True}
            service.put(consumer, "main", service.SubscriptionSpec(**given))
            delivering.until(lambda: f"shop.customer {key} " in Subscription.objects.get().last_error)
            assert (Subscription.objects.get().state, transport.sent) == ("failing", [])
        delivering.until(lambda: Subscription.objects.get().delivered == 20)
        assert Subscription.objects.get().last_error == ""

    delivering.run(work)


def test_a_comparison_names_it(follower, only):
    only("replicas.customer")
    there.Customer.objects.create(name="first")
    follower.run_once()
    with broken(3) as (key,):
        ReplicaState.objects.update(next_attempt=None)
        with renamed(), pytest.raises(CommandError, match=f"customer {key} "):
            call_command("pubsubpull_compare", "replicas.customer")


@contextlib.contextmanager
def renamed():
    """Have the unreadable values in a column that the replica takes over."""
    with connection.cursor() as run:
        run.execute("ALTER TABLE shop_customer RENAME name TO plain")
        run.execute("ALTER TABLE shop_customer RENAME brittle TO name")
        try:
            yield
        finally:
            run.execute("ALTER TABLE shop_customer RENAME name TO brittle")
            run.execute("ALTER TABLE shop_customer RENAME plain TO name")
