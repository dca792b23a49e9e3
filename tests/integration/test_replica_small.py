"""Small pages: applied by one message, or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
from decimal import Decimal

import pytest
from django.db import connection, models, transaction

import pubsubpull
from pubsubpull.replica import positions
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.appliers.single_message import SingleMessage
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.sizes import STANDARD_SIZES
from tests.integration import pulled
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)


def next_page():
    """Return the only cohort, and the page after its cursor."""
    cohort = pulled.cohort()
    return cohort, pulled.page(cohort)


def taken(cohort, page):
    """Apply a page by one message; return True if that did."""
    return isinstance(SingleMessage().apply(cohort, page, using="default"), Applied)


def stock():
    return set(here.Stock.objects.values_list("warehouse", "article", "amount"))


@contextlib.contextmanager
def messages():
    """Count the messages that are sent to PostgreSQL, of which each waits for an answer, as libpq tells of them."""
    sent, pgconn = [], connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as trace:
        pgconn.trace(trace.fileno())
        try:
            yield sent
        finally:
            pgconn.untrace()
        trace.seek(0)
        sent += [line for line in trace if re.search(r"\tF\t\d+\t(Query|Sync)\b", line)]


def test_a_small_page_is_applied_by_one_message(follower):
    there.Stock.objects.create(warehouse="w", article=0)
    follower.run_once()
    for amount in range(1, 4):
        there.Stock.objects.create(warehouse="w", article=amount)
        there.Stock.objects.filter(article=0).update(amount=amount)
        cohort, page = next_page()
        with messages() as sent:
            assert pulled.apply(cohort, page) == Applied.up_to(page)
        assert len(sent) == 1 or amount == 1  # the first one may have to look the table up
    there.Stock.objects.filter(article=3).delete()
    follower.run_once()
    assert stock() == {("w", 0, 3), ("w", 1, 0), ("w", 2, 0)}


def test_an_empty_page_moves_all_on_by_one_message(follower):
    follower.run_once()
    there.Secret.objects.create(text="nobody follows it")
    cohort, page = next_page()
    assert page.empty
    with messages() as sent:
        assert pulled.apply(cohort, page) == Applied.up_to(page)
    assert len(sent) == 1
    assert {state.cursor for state in ReplicaState.objects.all()} == {page.cursor}


def test_a_replica_at_another_cursor_is_not_moved_and_neither_is_its_cohort(follower):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = next_page()
    assert taken(cohort, page)
    assert not taken(cohort, page)
    further = dataclasses.replace(cohort, cursor=page.cursor)
    there.Stock.objects.update(amount=5)
    _, following = next_page()
    ReplicaState.objects.filter(name="replicas.customer").update(cursor=cohort.cursor)
    assert not taken(further, following)
    assert {state.cursor for state in ReplicaState.objects.exclude(name="replicas.customer")} == {page.cursor}
    assert stock() == {("w", 1, 0)}


def test_a_replica_lacking_a_column_is_only_moved_by_an_unrelated_page(follower):
    follower.run_once()
    ReplicaState.objects.filter(name="replicas.customer").update(absent=["email"])
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = next_page()
    assert taken(cohort, page)
    assert stock() == {("w", 1, 0)}
    assert {state.cursor for state in ReplicaState.objects.all()} == {page.cursor}


@pytest.mark.parametrize("change", [{"shape": ""}, {"absent": ["amount"]}])
def test_a_replica_to_be_copied_or_lacking_a_column_takes_no_single_message(follower, change):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = next_page()
    ReplicaState.objects.filter(name="replicas.stock").update(**change)
    assert not taken(cohort, page)
    assert stock() == set()


def test_a_page_that_needs_inspection_is_not_applied_as_a_single_message(follower):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = next_page()
    with transaction.atomic():
        assert not taken(cohort, page)
    large = dataclasses.replace(page, body=page.body + " " * STANDARD_SIZES.small_page)
    assert not taken(cohort, large)

    @pubsubpull.on_change("shop.stock", service="shop")
    def handler(change):
        """Do nothing."""

    try:
        assert not taken(cohort, page)
    finally:
        handlers.forget(handler)
    there.Customer.objects.create(name="has a replica that a function makes")
    cohort, page = next_page()
    assert not taken(cohort, page)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE shop_stock")
    cohort, page = next_page()
    assert not taken(cohort, page)
    follower.run_once()
    assert stock() == set()


def test_a_table_that_was_altered_meanwhile_gets_each_value_exactly(follower, only):
    """A statement made for the column as it was would round to it, and nothing would fail."""

    class Priced(models.Model):
        id = models.BigIntegerField(primary_key=True)
        total = models.DecimalField(max_digits=12, decimal_places=1)

        class Meta:
            app_label = "adhoc"
            managed = False

    only()
    pubsubpull.replicates("shop.order", service="shop", where={"status": "new"})(Priced)
    with connection.schema_editor() as editor:
        editor.create_model(Priced)
    try:
        follower.run_once()
        for total in ("1.1", "2.2"):
            there.Order.objects.create(total=Decimal(total))
            cohort, page = next_page()
            assert taken(cohort, page)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE adhoc_priced ALTER COLUMN total TYPE numeric(12, 2)")
        there.Order.objects.create(total=Decimal("3.25"))
        cohort, page = next_page()
        assert pulled.applied(cohort, page)
        assert sorted(Priced.objects.values_list("total", flat=True)) == [
            Decimal("1.1"),
            Decimal("2.2"),
            Decimal("3.25"),
        ]
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Priced)


def test_a_failing_page_names_its_replica_and_is_tried_as_a_single_message_once(follower, outcomes, only):
    only("replicas.stock")
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE replicas_stock ADD CONSTRAINT few CHECK (amount < 5)")
    try:
        follower.run_once()
        there.Stock.objects.update(amount=6)
        for reason in ("the message did not apply the page", "PostgreSQL would log its contents again"):
            outcomes.clear()
            positions.hurry("shop", "default")
            with pytest.raises(Exception, match=r'replicas\.stock: .*violates check constraint "few"'):
                follower.run_once()
            assert reason in outcomes[0][1].reason
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE replicas_stock DROP CONSTRAINT few")


def test_its_writes_belong_to_the_request_that_pushed_it(follower):
    """The local table may be published itself, and so tell others on whose behalf it changed."""
    follower.run_once()
    told = """
        CREATE TABLE told (request text);
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO told VALUES (current_setting('pubsubpull.request')); RETURN NULL; END $$;
        CREATE TRIGGER tell AFTER INSERT ON replicas_stock FOR EACH STATEMENT EXECUTE FUNCTION tell()
    """
    with connection.cursor() as cursor:
        cursor.execute(told)
        try:
            there.Stock.objects.create(warehouse="w", article=1)
            cohort, page = next_page()
            with pubsubpull.context(user="ann") as context:
                assert taken(cohort, page)
            cursor.execute("SELECT request FROM told")
            ((request,),) = cursor.fetchall()
        finally:
            cursor.execute("DROP TRIGGER tell ON replicas_stock; DROP FUNCTION tell(); DROP TABLE told")
    assert str(context.id) in request
