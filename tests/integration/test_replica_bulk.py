"""Backlogs come in compact pages, which are applied in one go, or else as whole ones."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import OperationalError, connection, models, transaction

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import declaration, pages, services
from pubsubpull.replica.appliers import choose
from pubsubpull.replica.appliers.base import MOVED, Applied, Declined
from pubsubpull.replica.appliers.compact import COMPACT_STATEMENT, CompactPages
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.sizes import Sizes
from pubsubpull.replica.tables.table import Table
from tests.integration import no_compact_pages, pulled
from tests.integration.test_replica_walks import STATUS, Odd, equal, odd_equal, replicate_odd, step, tables
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
PLAIN = ("replicas.customer", "replicas.order", "replicas.stock")


@pytest.fixture
def sizes(request):
    """Let a backlog be more than a change."""
    return Sizes(page=1, **getattr(request, "param", {}))


@pytest.fixture(autouse=True)
def _only_plain_replicas(only):
    only(*PLAIN)


def compact_outcomes(outcomes):
    """Return the outcomes of compact pages."""
    found = []
    for name, outcome in outcomes:
        if name == "compact" and isinstance(outcome, Declined):
            found.append("elsewhere" if outcome.moved else "declined")
        elif name == "compact" and not outcome.empty:  # an empty one may follow, where the server has had a tick
            found.append("applied")
    return found


def stock():
    return set(here.Stock.objects.values_list("warehouse", "article", "amount"))


def compact(**options):
    """Return the only cohort, and the compact page after its cursor."""
    cohort = pulled.cohort()
    with services.get("shop").client() as client:
        return cohort, pages.compact(client, cohort.sources, cohort.cursor, **options)


class NoMore:
    """Has no further page: none is needed."""

    def compact(self, after):
        raise AssertionError("no further page is needed")

    whole = compact


def apply(cohort, page, **sizes):
    return CompactPages(further=NoMore(), sizes=Sizes(**sizes)).apply(cohort, page, using="default")


@pytest.mark.parametrize("sizes", [{"compact_page": 3, "whole_pages": 2}, {"whole_pages": 2}], indirect=True)
def test_backlogs_leave_each_replica_equal_whatever_is_in_them(follower, outcomes):
    replicate_odd()
    dice = random.Random(5)
    with tables(Odd):
        follower.run_once()
        for _ in range(25):
            for _ in range(dice.randint(3, 15)):
                step(dice, statuses=STATUS, quantities=[1, 2], names=["a", "n% {}", '],"items":[', "\n"])
            follower.run_once()
            equal()
            odd_equal()
    assert compact_outcomes(outcomes).count("applied") > 20


def test_the_last_change_of_a_row_counts_and_deleted_rows_make_room(follower, outcomes):
    there.Stock.objects.create(warehouse="w", article=0)
    follower.run_once()
    there.Stock.objects.update(amount=1)
    there.Stock.objects.create(warehouse="w", article=1)
    there.Stock.objects.filter(article=1).delete()
    there.Stock.objects.create(warehouse="w", article=1, amount=7)
    there.Stock.objects.filter(article=0).delete()
    there.Stock.objects.create(warehouse="w", article=2)
    there.Stock.objects.filter(article=2).delete()
    follower.run_once()
    assert stock() == {("w", 1, 7)}
    assert compact_outcomes(outcomes) == ["applied"]


def truncate():
    with connection.cursor() as run:
        run.execute("TRUNCATE shop_stock")


@contextlib.contextmanager
def altered(there_and_back):
    """Have the source otherwise for a while."""
    there_, back = there_and_back
    with connection.cursor() as run:
        run.execute(there_)
        try:
            yield
        finally:
            run.execute(back)


def test_a_truncate_is_pulled_whole(follower, outcomes):
    there.Stock.objects.create(warehouse="w", article=0)
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    there.Stock.objects.create(warehouse="w", article=2)
    truncate()
    there.Stock.objects.create(warehouse="w", article=3)
    follower.run_once()
    assert stock() == {("w", 3, 0)}
    assert compact_outcomes(outcomes) == ["declined"]


def test_rows_of_other_columns_are_pulled_whole(follower, outcomes):
    """A column that is not followed is new in the midst of a backlog. Once all rows have it, they are plain again."""
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    there.Stock.objects.create(warehouse="w", article=2)
    with altered(("ALTER TABLE shop_stock ADD extra int", "ALTER TABLE shop_stock DROP extra")):
        there.Stock.objects.create(warehouse="w", article=3)
        follower.run_once()
        assert stock() == {("w", 1, 0), ("w", 2, 0), ("w", 3, 0)}
        assert compact_outcomes(outcomes) == ["declined"]
        outcomes.clear()
        for article in (4, 5, 6):
            there.Stock.objects.create(warehouse="w", article=article)
        follower.run_once()
    assert len(stock()) == 6
    assert compact_outcomes(outcomes) == ["applied"]


def test_columns_missing_in_compact_pages_are_handled_as_with_whole_pages(follower, outcomes):
    there.Stock.objects.create(warehouse="w", article=0, amount=1)
    follower.run_once()
    with altered(("ALTER TABLE shop_stock RENAME amount TO number", "ALTER TABLE shop_stock RENAME number TO amount")):
        with connection.cursor() as run:
            for article in (1, 2, 3):
                run.execute("INSERT INTO shop_stock VALUES ('w', %s, 5)", [article])
        follower.run_once()
        assert ReplicaState.objects.get(name="replicas.stock").absent == ["amount"]
        assert stock() == {("w", 0, 1), ("w", 1, 0), ("w", 2, 0), ("w", 3, 0)}
        assert compact_outcomes(outcomes) == ["declined"]
    for article in (4, 5, 6):  # now the row is back, with values that no change has told
        there.Stock.objects.create(warehouse="w", article=article, amount=6)
    follower.run_once()
    assert ReplicaState.objects.get(name="replicas.stock").absent == []
    assert stock() == set(there.Stock.objects.values_list("warehouse", "article", "amount"))


def test_a_column_that_was_missing_and_is_there_again_is_left_to_whole_pages(follower):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    ReplicaState.objects.filter(name="replicas.stock").update(absent=["amount"])
    cohort, page = compact()
    assert isinstance(apply(cohort, page), Declined)
    assert not stock()


def test_a_row_that_goes_with_other_columns_goes(follower, outcomes):
    for article in (0, 1):
        there.Stock.objects.create(warehouse="w", article=article)
    follower.run_once()
    there.Customer.objects.create(name="comes whole")
    there.Stock.objects.filter(article=1).update(amount=1)
    with altered(("ALTER TABLE shop_stock ADD extra int", "ALTER TABLE shop_stock DROP extra")):
        there.Stock.objects.filter(article=0).delete()
    follower.run_once()
    assert stock() == {("w", 1, 1)}
    assert compact_outcomes(outcomes) == ["declined"]


@pytest.mark.parametrize("sizes", [{"compact_page": 2, "whole_pages": 3}], indirect=True)
def test_after_a_page_that_was_no_good_some_are_pulled_whole(follower, outcomes):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=0)
    truncate()
    for article in range(7):
        there.Stock.objects.create(warehouse="w", article=article)
    follower.run_once()
    assert compact_outcomes(outcomes) == ["declined", "applied", "applied"]
    assert len(stock()) == 7


def test_a_page_that_fails_leaves_nothing_behind(follower):
    """Neither rows nor cursors: the fault is found with the whole page, and reported for that replica only."""
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=0)
    for quantity in (1, 2, 13, 4):
        there.Order.objects.create(reference=str(quantity), quantity=quantity)
    there.Stock.objects.create(warehouse="w", article=1)
    check = "ALTER TABLE replicas_order ADD CONSTRAINT fits CHECK (quantity <> 13)"
    with altered((check, "ALTER TABLE replicas_order DROP CONSTRAINT fits")):
        cohort, page = compact()
        assert isinstance(apply(cohort, page), Declined)
        assert {state.cursor for state in ReplicaState.objects.all()} == {cohort.cursor}
        assert not here.Order.objects.exists()
        with pytest.raises(exceptions.ReplicaFailed, match="fits"):
            follower.run_once()
        assert stock() == {("w", 0, 0), ("w", 1, 0)}
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    equal()


@pytest.mark.parametrize("sizes", [{"compact_page": 1}], indirect=True)
def test_a_row_may_come_a_page_before_the_row_it_refers_to(follower, outcomes):
    follower.run_once()
    for _ in range(2):
        with transaction.atomic():
            order = there.Order.objects.create(reference="a")
            customer = there.Customer.objects.create(name="c")
            there.Stock.objects.create(warehouse="w", article=customer.pk)
            there.Order.objects.filter(pk=order.pk).update(customer=customer)
        with transaction.atomic(), connection.cursor() as run:
            run.execute("SET CONSTRAINTS ALL DEFERRED")
            there.Order.objects.create(reference="b", customer_id=customer.pk + 1)
            there.Stock.objects.update(amount=3)
            there.Customer.objects.create(name="d")
    follower.run_once()
    equal()
    assert "declined" not in compact_outcomes(outcomes)
    assert compact_outcomes(outcomes).count("applied") < 10


@pytest.mark.parametrize("sizes", [{"compact_page": 1}], indirect=True)
def test_a_page_that_needs_many_more_pages_is_pulled_whole(follower, outcomes):
    there.Customer.objects.create(name="before")
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=99)
    with transaction.atomic(), connection.cursor() as run:
        run.execute("SET CONSTRAINTS ALL DEFERRED")
        there.Order.objects.create(reference="b", customer_id=there.Customer.objects.get().pk + 1)
        for article in range(6):
            there.Stock.objects.create(warehouse="w", article=article)
        there.Customer.objects.create(name="d")
    follower.run_once()
    equal()
    assert compact_outcomes(outcomes)[0] == "declined"


def test_a_replica_at_another_cursor_is_not_moved_and_neither_is_its_cohort(follower):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = compact()
    assert apply(cohort, page) == Applied.up_to(page)
    assert apply(cohort, page) is MOVED
    there.Stock.objects.update(amount=5)
    cohort, page = compact()
    ReplicaState.objects.filter(name="replicas.customer").update(cursor="other")
    assert apply(cohort, page) is MOVED
    assert stock() == {("w", 1, 0)}
    ReplicaState.objects.filter(name="replicas.customer").update(cursor=cohort.cursor, shape="")
    assert apply(cohort, page) is MOVED


def test_a_table_that_changed_has_its_statement_made_anew(follower, outcomes):
    follower.run_once()
    for n in range(3):
        there.Stock.objects.create(warehouse="w", article=n)
    follower.run_once()
    type_of = "ALTER TABLE replicas_stock ALTER amount TYPE {} USING amount::text::{}"
    with altered((type_of.format("jsonb", "jsonb"), type_of.format("integer", "integer"))):
        there.Stock.objects.update(amount=2)
        follower.run_once()
        with connection.cursor() as run:
            run.execute("SELECT DISTINCT amount::text FROM replicas_stock")
            assert run.fetchall() == [("2",)]
    assert compact_outcomes(outcomes) == ["applied"] * 2


def test_statements_are_not_kept_without_end(follower):
    """Another service decides on the shapes of its rows."""
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = compact()
    part = page.parts["shop.stock"]
    for n in range(10):
        padded = [[*item[:3], [*item[3], *[None] * n]] for item in json.loads(part.items)]
        names = (*part.columns, *map(str, range(n)))
        made = dataclasses.replace(
            page, parts={"shop.stock": pages.Part(columns=names, items=json.dumps(padded))}, cursor=f"{n}"
        )
        assert isinstance(apply(cohort, made, statements=3), Applied)
        cohort = dataclasses.replace(cohort, cursor=f"{n}")
    assert len([key for key in declaration.get(here.Stock).statements if key[0] == COMPACT_STATEMENT]) == 3
    assert stock() == {("w", 1, 0)}


def test_effects_that_look_at_rows_or_changes_are_not_for_compact_pages(follower):
    follower.run_once()
    cohort = pulled.cohort()
    assert choose.takes_compact(cohort)

    @pubsubpull.on_change("shop.stock", service="shop")
    def handler(change):
        """Do nothing."""

    try:
        assert not choose.takes_compact(cohort)
        assert choose.takes_compact(pulled.cohort_of("replicas.customer", "replicas.order"))
    finally:
        handlers.forget(handler)
    for declared in (
        dataclasses.replace(declaration.get(here.Stock), where=lambda _row: True),
        dataclasses.replace(declaration.get(here.Stock), write=lambda _writes: None),
    ):
        assert not choose.takes_compact(dataclasses.replace(cohort, members=(Table(declared),)))
    assert not choose.takes_compact(dataclasses.replace(cohort, apart=True))


@contextlib.contextmanager
def pair(only, source, copy):
    """Make two tables with these columns: a published one, and its replica, the only one that follows."""
    names = {"adhoc_from": source, "adhoc_to": copy}
    made = []
    with connection.cursor() as run:
        for table, columns in names.items():
            run.execute(f"CREATE TABLE {table} ({', '.join(map(' '.join, columns.items()))}, PRIMARY KEY (id))")
            meta = type("Meta", (), {"managed": False, "app_label": "adhoc", "db_table": table})
            fields = {name: models.TextField(null=True, primary_key=name == "id") for name in columns}
            made.append(type(table.replace("_", ""), (models.Model,), {"__module__": "x", "Meta": meta, **fields}))
        pubsubpull.publish(made[0])
        pubsubpull.replicates("adhoc.adhocfrom", service="shop")(made[1])
        only(declaration.get(made[1]).name)
        try:
            call_command("pubsubpull_triggers", "--sync", verbosity=0)
            yield run
        finally:
            pubsubpull.unpublish(made[0])
            declaration.forget(made[1])
            for model in made:
                del apps.all_models["adhoc"][model._meta.model_name]
            apps.clear_cache()
            run.execute("DROP TABLE adhoc_from, adhoc_to")


@pytest.mark.parametrize(
    "given",
    [
        ("numeric", "numeric(10,2)", "1.234"),
        ("text", "varchar(3)", "'abc  '"),
        ("text", "char(3)", "'ab'"),
        ("timestamptz", "timestamptz(0)", "'2026-01-01T00:00:00.4Z'"),
    ],
)
def test_a_row_whose_key_is_shortened_here_is_found_again(follower, outcomes, only, given):
    there_, here_, value = given
    with pair(only, {"id": there_, "x": "int"}, {"id": here_, "x": "int"}) as run:
        follower.run_once()
        run.execute(f"INSERT INTO adhoc_from VALUES ({value}, 1)")
        follower.run_once()
        run.execute("UPDATE adhoc_from SET x = 2")
        run.execute("UPDATE adhoc_from SET x = 3")
        follower.run_once()
        run.execute("SELECT x FROM adhoc_to")
        assert run.fetchall() == [(3,)]
        run.execute("UPDATE adhoc_from SET x = 4")
        run.execute("DELETE FROM adhoc_from")
        follower.run_once()
        run.execute("SELECT x FROM adhoc_to")
        assert run.fetchall() == []
    assert compact_outcomes(outcomes) == ["applied"] * 2


def test_more_columns_than_a_function_takes_arguments(follower, outcomes, only):
    columns = {"id": "int", **{f"c{n}": "interval" for n in range(120)}}
    with pair(only, columns, columns) as run:
        follower.run_once()
        for n in range(3):
            run.execute(f"INSERT INTO adhoc_from (id, c{n}, c119) VALUES ({n}, '1 day', '2 mons')")
        follower.run_once()
        run.execute("TABLE adhoc_from EXCEPT TABLE adhoc_to")
        assert run.fetchall() == []
    assert compact_outcomes(outcomes) == ["applied"]


def test_a_page_that_takes_too_long_is_split_into_smaller_pages(follow, outcomes, only):
    columns = {"id": "int", "x": "int"}
    follower = follow(sizes=Sizes(page=100))
    with pair(only, columns, columns) as run:
        run.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END'"
        )
        run.execute("CREATE TRIGGER s BEFORE INSERT ON adhoc_to FOR EACH ROW EXECUTE FUNCTION slow()")
        follower.run_once()
        run.execute("INSERT INTO adhoc_from SELECT n, n FROM generate_series(1, 1500) n")
        run.execute("SET statement_timeout = 1000")
        try:
            follower.run_once()
        finally:
            run.execute("RESET statement_timeout; DROP FUNCTION slow CASCADE")
        run.execute("SELECT count(*) FROM adhoc_to")
        assert run.fetchall() == [(1500,)]
    assert compact_outcomes(outcomes) == ["declined"]


@pytest.mark.parametrize(
    "items",
    [
        '[[11, "1", null, [1, 2]]]',
        '[[11, "1", "insert", [1]]]',
        '[[11, "1", "insert", [1, 2, 3]]]',
        '[[null, "1", "insert", [1, 2]]]',
        '[[11, null, "insert", [1, 2]]]',
        '[[11, "1", "erase", [1, 2]]]',
        '[[11, "1", "delete", {"id": 1}]]',
        "[11]",
        "{}",
        "[",
    ],
)
def test_a_malformed_page_is_never_applied(follower, only, items):
    columns = {"id": "int", "x": "int"}
    with pair(only, columns, columns) as run:
        follower.run_once()
        cohort = pulled.cohort()
        parts = {"adhoc.adhocfrom": pages.Part(columns=("id", "x"), items=items)}
        page = pages.Compact(parts=parts, previous=cohort.cursor, cursor="next", more=False)
        assert isinstance(apply(cohort, page), Declined)
        run.execute("SELECT count(*) FROM adhoc_to")
        assert run.fetchall() == [(0,)]


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("sizes", [{"compact_page": 1, "whole_pages": 4}], indirect=True)
def test_a_service_that_fails_at_compact_pages_is_asked_for_whole_ones_for_a_while(
    follower, outcomes, settings, status
):
    follower.run_once()
    settings.ROOT_URLCONF = "tests.integration.no_compact_pages"
    no_compact_pages.status = status
    no_compact_pages.asked.clear()
    for n in range(12):
        there.Stock.objects.create(warehouse="w", article=n)
    follower.run_once()
    assert len(stock()) == 12
    assert 2 <= no_compact_pages.asked.count(True) <= 4
    assert not compact_outcomes(outcomes)


def test_a_database_that_is_away_is_not_the_pages_fault(follower):
    follower.run_once()
    there.Stock.objects.create(warehouse="w", article=1)
    cohort, page = compact()
    with connection.cursor() as run:
        run.execute(
            "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'away' USING ERRCODE = 'admin_shutdown'; END $$"
        )
        run.execute("CREATE TRIGGER away BEFORE INSERT ON replicas_stock EXECUTE FUNCTION away()")
        try:
            with pytest.raises(OperationalError, match="away"):
                apply(cohort, page)
        finally:
            run.execute("DROP FUNCTION away CASCADE")
