"""Following by pull, against a live server of the same test database."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from django.core.signals import request_started
from django.db import connection, transaction
from django.utils import timezone

from pubsubpull import exceptions
from pubsubpull.capture import sql
from pubsubpull.replica import cohorts, declaration, health, pages, positions, services, staging
from pubsubpull.replica.appliers.base import MOVED, Applied
from pubsubpull.replica.copy import ranges
from pubsubpull.replica.models import Copy, CopyPage, ReplicaState
from pubsubpull.replica.prefetch import Puller
from pubsubpull.replica.sizes import Sizes
from tests import processes
from tests.integration import pulled
from tests.replicas import models as here
from tests.sessions import session
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)


def write():
    customers = there.Customer.objects.bulk_create(there.Customer(name=f"c{n}", email=f"{n}@x") for n in range(20))
    there.Order.objects.bulk_create(
        there.Order(
            customer=customers[n % 20],
            reference=str(n),
            quantity=n,
            total=Decimal(n),
            status="paid" if n % 2 else "new",
        )
        for n in range(30)
    )
    there.Stock.objects.bulk_create(there.Stock(warehouse="w", article=n) for n in range(5))


def equal():
    customers = list(there.Customer.objects.order_by("id").values_list("id", "name", "email"))
    assert list(here.Customer.objects.order_by("id").values_list("id", "name", "email")) == customers
    orders = ("id", "customer_id", "reference", "quantity", "total", "status", "placed")
    local = tuple("number" if name == "reference" else name for name in orders)
    assert list(here.Order.objects.order_by("id").values_list(*local)) == list(
        there.Order.objects.order_by("id").values_list(*orders)
    )
    paid = there.Order.objects.filter(status__in=["paid", "sent"]).order_by("id")
    assert list(here.PaidOrder.objects.order_by("id").values_list("id", "reference", "status")) == list(
        paid.values_list("id", "reference", "status")
    )
    big = there.Order.objects.filter(quantity__gt=10).order_by("id")
    assert list(here.BigOrder.objects.order_by("id").values_list("id", "quantity")) == list(
        big.values_list("id", "quantity")
    )
    assert dict(here.Shout.objects.values_list("source_id", "shout")) == {
        key: name.upper() for key, name, _ in customers
    }
    assert set(here.Stock.objects.values_list("warehouse", "article", "amount")) == set(
        there.Stock.objects.values_list("warehouse", "article", "amount")
    )


def test_all_rows_are_copied_and_then_their_changes_follow(follower):
    write()
    follower.run_once()
    equal()
    assert not Copy.objects.exists()
    assert not CopyPage.objects.exists()
    there.Order.objects.filter(quantity__lt=5).delete()
    there.Order.objects.filter(quantity__lt=12).update(status="sent", quantity=40)
    there.Order.objects.filter(quantity__gt=25).update(status="new")
    there.Customer.objects.create(name="new")
    there.Stock.objects.filter(article=3).update(amount=7)
    follower.run_once()
    equal()
    assert {state.state for state in ReplicaState.objects.all()} == {"following"}


def test_rows_staged_earlier_in_a_transaction_cost_no_later_scan():
    size = "SELECT pg_relation_size('pg_temp.pubsubpull_page')"
    row = "INSERT INTO pg_temp.pubsubpull_page SELECT n, n, 'm', '', 'insert' FROM generate_series(1, 1000) n"
    with transaction.atomic(), connection.cursor() as cursor:
        staging.begin("default")
        cursor.execute(row)
        sql.run("default", sql.template("queries/replica/clear_stage"))
        cursor.execute(size)
        assert cursor.fetchone() == (0,)


def test_steps_through_a_backlog_may_follow_a_run(follower):
    follower.run_once()
    there.Customer.objects.bulk_create(there.Customer(name=str(n)) for n in range(1005))
    with services.get("shop").client() as client:
        while follower.steps.step(client):
            pass
    equal()


def test_local_columns_are_given_once_and_never_touched(follower):
    order = there.Order.objects.create(reference="a")
    follower.run_once()
    assert here.Order.objects.get().note == "mine"
    assert here.Order.objects.get().origin == "shop"
    here.Order.objects.update(note="kept", priority=3)
    order.status = "paid"
    order.save()
    follower.run_once()
    mine = here.Order.objects.get()
    assert (mine.note, mine.priority, mine.status) == ("kept", 3, "paid")
    assert mine.version > 0


def test_a_unique_value_may_go_from_row_to_row_within_a_page(follower):
    """Only the last states are written, and these would meet; then each change is applied by itself."""
    first, second = (here.SeatSource.objects.create(number=n) for n in (1, 2))
    follower.run_once()
    for seat, number in ((first, 9), (second, 1), (first, 2)):
        seat.number = number
        seat.save()
    follower.run_once()
    assert dict(here.Seat.objects.values_list("id", "number")) == {first.pk: 2, second.pk: 1}
    here.SeatSource.objects.filter(pk=first.pk).delete()
    here.SeatSource.objects.create(number=2)
    follower.run_once()
    assert set(here.Seat.objects.values_list("id", "number")) == set(
        here.SeatSource.objects.values_list("id", "number")
    )


def test_truncate_and_a_key_that_moves(follower):
    write()
    follower.run_once()
    with connection.cursor() as run:
        run.execute("TRUNCATE shop_stock")
        run.execute("INSERT INTO shop_stock VALUES ('v', 1, 1), ('v', 2, 2)")
        run.execute("UPDATE shop_stock SET article = 7 WHERE article = 2")
    follower.run_once()
    equal()
    assert here.Stock.objects.count() == 2


@pytest.mark.parametrize("sizes", [{"page": 1}, {"page": 5}], indirect=True)
def test_a_row_whose_parent_comes_in_a_later_page_waits_for_it(follower):
    """The source's constraint is deferred too, so its child may be logged first; small pages cut in between."""
    follower.run_once()
    with transaction.atomic():
        there.Order.objects.bulk_create(there.Order(customer_id=4000 + n, reference=str(n)) for n in range(7))
        there.Customer.objects.bulk_create(there.Customer(id=4000 + n, name=str(n)) for n in range(7))
    follower.run_once()
    equal()
    assert here.Order.objects.count() == 7
    with transaction.atomic(), connection.cursor() as run:
        run.execute("DELETE FROM shop_customer")
        run.execute("DELETE FROM shop_order")
    follower.run_once()
    equal()
    assert not here.Order.objects.exists()


def test_an_expired_cursor_leads_to_a_new_copy_without_an_empty_table(follow, caplog):
    write()
    follow().run_once()
    with connection.cursor() as run, session() as other:
        run.execute("SET session_replication_role = replica")  # writes without changes
        there.Order.objects.filter(quantity__lt=20).delete()
        there.Order.objects.filter(quantity=25).update(status="sent")
        there.Order.objects.bulk_create([there.Order(reference="unseen", quantity=99)])
        run.execute("RESET session_replication_role")
        ReplicaState.objects.update(cursor="AgEAAAAFAAA")
        counts = []

        def progress(_):
            counts.append(other.execute("SELECT count(*) FROM replicas_order").fetchone()[0])

        follow(progress=progress, workers=1).run_once()
    assert counts
    assert set(counts) == {30}
    equal()
    assert here.Order.objects.count() == 11
    told = [one.getMessage() for one in caplog.records if "All rows of" in one.getMessage()]
    assert len(told) == 1
    assert "replicas.order" in told[0]
    assert "after=now" not in told[0], "that is advice for who pulls by hand"


def test_a_copy_that_was_killed_goes_on_where_it_was(follow):
    write()
    seen = []

    def progress(now):
        seen.append(now.rows)
        if len(seen) == 8:
            follower.stopping.set()

    follower = follow(progress=progress, sizes=Sizes(rows=3))
    with pytest.raises(ranges.Stopped):
        follower.run_once()
    kept = CopyPage.objects.count()
    assert kept >= 8
    assert not here.Order.objects.exists()
    there.Order.objects.filter(quantity=1).delete()
    there.Customer.objects.filter(name="c3").update(name="other")
    follower.stopping.clear()
    follower.run_once()
    assert max(seen) >= 30 + 20 + 5 - 8 * 3
    equal()


def test_a_replica_that_is_added_later_is_copied_and_joins_the_others(follower):
    write()
    follower.run_once()
    ReplicaState.objects.filter(name="replicas.stock").delete()
    here.Stock.objects.all().delete()
    there.Stock.objects.update(amount=3)
    there.Order.objects.update(quantity=3)
    follower.run_once()
    equal()
    assert ReplicaState.objects.values("cursor").distinct().count() == 1


def test_a_replica_copied_later_has_the_rows_it_refers_to(follower):
    """Its rows refer to rows that the others have not been told of: all come to one state in one transaction."""
    follower.run_once()
    ReplicaState.objects.filter(name="replicas.order").delete()
    write()
    cohorts.enter("shop", "default")
    assert follower.steps.copy([])
    equal()
    assert ReplicaState.objects.values("cursor").distinct().count() == 1


def test_a_lagging_replica_catches_up_if_it_refers_to_rows_of_the_others(follower, follow):
    """Page by page it would refer to a customer already deleted here, and to a customer still to come."""
    write()
    follower.run_once()
    behind = ReplicaState.objects.get(name="replicas.order")
    there.Order.objects.filter(quantity=1).update(customer=there.Customer.objects.create(name="brief"))
    there.Order.objects.filter(quantity=1).delete()
    there.Customer.objects.filter(name="brief").delete()
    ReplicaState.objects.filter(name="replicas.order").update(next_attempt=timezone.now() + timedelta(days=1))
    follower.run_once()
    ReplicaState.objects.filter(name="replicas.order").update(next_attempt=None)
    assert ReplicaState.objects.get(name="replicas.order").cursor == behind.cursor
    there.Order.objects.create(reference="late", customer=there.Customer.objects.create(name="to come"))
    follow(sizes=Sizes(page=1)).run_once()
    equal()


def take_a_page(cohort, limit):
    """Let replicas take one page of so many changes; it is not the last."""
    page = pulled.page(cohort, limit=limit)
    assert page.more
    assert pulled.apply(cohort, page) == Applied.up_to(page)


def test_a_replica_amid_an_old_backlog_misses_no_later_change(follower):
    """The rest of its backlog ends before the changes that the others apply in the joint catch-up."""
    follower.run_once()
    stock = pulled.cohort_of("replicas.stock")
    there.Stock.objects.bulk_create(there.Stock(warehouse="w", article=n) for n in range(5))
    take_a_page(stock, 2)
    there.Stock.objects.bulk_create(there.Stock(warehouse="later", article=n) for n in range(5))
    follower.run_once()
    equal()


def test_all_are_copied_again_to_one_state_from_the_midst_of_an_old_backlog(follower, follow):
    """The customers' rows are fetched before, the orders' after a customer and their order came."""
    write()
    follower.run_once()
    everyone = pulled.cohort()
    there.Stock.objects.update(amount=2)
    take_a_page(everyone, 2)
    positions.copy_again(everyone.members, "default")
    seen = []

    def progress(_):
        if not seen:
            there.Order.objects.create(reference="between", customer=there.Customer.objects.create(name="between"))
        seen.append(1)

    follow(progress=progress, workers=1).run_once()
    equal()
    assert here.Order.objects.filter(customer__name="between").exists()


def test_a_whole_copy_stays_as_it_is(follower):
    """Another that copies at the same time would move it on into the midst of a backlog, where no rows agree."""
    write()
    cohorts.enter("shop", "default")
    wanted = cohorts.snapshot("shop", "default", timezone.now()).to_copy()
    client = services.get("shop").client

    def copy_and_stop():
        def progress(now):
            if now.applying:
                raise ranges.Stopped

        with pytest.raises(ranges.Stopped):
            ranges.copy(wanted, client, using="default", progress=progress)

    copy_and_stop()
    whole = Copy.objects.get()
    assert whole.whole
    there.Customer.objects.update(name="changed")
    copy_and_stop()
    with client() as calling:
        page = pages.changes(calling, wanted.sources, whole.cursor, limit=3)
    assert page.more
    assert not ranges._keep_changes(whole, page, "default")
    assert Copy.objects.get().cursor != page.cursor


def let_wait(name, until):
    ReplicaState.objects.filter(name=name).update(next_attempt=until)


@pytest.mark.parametrize(
    ("waits", "stops"), [("replicas.customer", "replicas.order"), ("replicas.order", "replicas.customer")]
)
def test_a_replica_goes_on_until_it_needs_a_row_of_a_waiting_replica(follower, waits, stops):
    """An order would come without its customer, or a customer would go while their orders are here."""
    write()
    follower.run_once()
    until = timezone.now() + timedelta(days=1)
    let_wait(waits, until)
    there.Order.objects.create(reference="alone")
    there.Customer.objects.create(name="alone")
    follower.run_once()
    assert here.Order.objects.filter(number="alone").exists() == (waits != "replicas.order")
    assert here.Customer.objects.filter(name="alone").exists() == (waits != "replicas.customer")
    there.Order.objects.create(reference="new", customer=there.Customer.objects.create(name="new"))
    with connection.cursor() as run:
        run.execute("DELETE FROM shop_order WHERE customer_id = (SELECT id FROM shop_customer WHERE name = 'c5')")
        run.execute("DELETE FROM shop_customer WHERE name = 'c5'")
    there.Stock.objects.update(amount=3)
    with pytest.raises(exceptions.ReplicaFailed, match=rf"{stops}: it needs {waits}, which is not as far: "):
        follower.run_once()
    assert set(here.Stock.objects.values_list("amount", flat=True)) == {3}
    assert here.Shout.objects.filter(shout="NEW").exists()
    assert ReplicaState.objects.get(name=stops).next_attempt == until, "it is tried again when the other is"
    assert f"it needs {waits}" in health.checks("default")[f"replica {stops}"]
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    equal()
    assert ReplicaState.objects.values("cursor").distinct().count() == 1
    assert set(health.checks("default").values()) == {"ok"}


@contextlib.contextmanager
def calls(**parameters):
    """Count the calls for changes with these parameters."""
    made = []

    def note(environ, **_):
        if environ["PATH_INFO"].endswith("/changes/"):
            asked = dict(parse_qsl(environ["QUERY_STRING"]))
            made.extend([asked] * (parameters.items() <= asked.items()))

    request_started.connect(note)
    try:
        yield made
    finally:
        request_started.disconnect(note)


def test_a_replica_that_needs_another_joins_nothing_while_that_other_waits(follower, follow):
    write()
    follower.run_once()
    orders = pulled.cohort_of("replicas.order")
    let_wait("replicas.customer", timezone.now() + timedelta(days=1))
    let_wait("replicas.order", timezone.now() + timedelta(days=1))
    customer = there.Customer.objects.create(name="new")
    for number in range(5):
        there.Order.objects.create(reference=str(number), customer=customer)
    follower.run_once()
    let_wait("replicas.order", None)
    with (
        calls(models="shop.order") as made,
        pytest.raises(exceptions.ReplicaFailed, match="it needs replicas.customer"),
    ):
        follow(sizes=Sizes(page=2)).run_once()
    assert len(made) == 1, "not all changes since were pulled"
    assert pulled.cohort_of("replicas.order").members == ()
    assert ReplicaState.objects.get(name="replicas.order").cursor == orders.cursor
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    equal()


def test_a_replica_skips_its_own_backlog_if_only_another_replica_has_the_row(follower):
    follower.run_once()
    let_wait("replicas.customer", timezone.now() + timedelta(days=1))
    there.Order.objects.create(reference="new", customer=there.Customer.objects.create(name="new"))
    for number in range(10):
        there.Stock.objects.create(warehouse="w", article=number)
    cohort = pulled.cohort()
    page = pulled.page(cohort, limit=2)
    assert page.more
    with services.get("shop").client() as client:
        further = Puller(client=client, sources=tuple(cohort.sources))
        with calls() as made, pytest.raises(exceptions.ReplicaFailed, match="it needs replicas.customer"):
            pulled.apply(cohort, page, further=further)
    assert made == [], "it pulled more"
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    equal()


@contextlib.contextmanager
def tries():
    """Count how often orders were written, in transactions that were taken back too: sequences go on."""
    with connection.cursor() as run:
        run.execute("CREATE SEQUENCE tries")
        run.execute(
            "CREATE FUNCTION try() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM nextval('tries'); RETURN NULL; END $$"
        )
        run.execute("CREATE TRIGGER try BEFORE INSERT ON replicas_order EXECUTE FUNCTION try()")

        def count():
            run.execute("SELECT last_value FROM tries")
            return run.fetchone()[0]

        try:
            yield count
        finally:
            run.execute("DROP FUNCTION try CASCADE; DROP SEQUENCE tries")


def test_the_search_for_a_missing_row_doubles_its_pages_each_time(follower):
    """Page by page, a transaction of n pages would be applied n times."""
    follower.run_once()
    with transaction.atomic(), connection.cursor() as run:
        run.execute("SET CONSTRAINTS ALL DEFERRED")
        key = there.Customer.objects.create(name="to be next").pk + 1
        there.Order.objects.create(reference="early", customer_id=key)
        for number in range(40):
            there.Stock.objects.create(warehouse="w", article=number)
        there.Customer.objects.create(pk=key, name="late")
    cohort = pulled.cohort()
    page = pulled.page(cohort, limit=2)
    with services.get("shop").client() as client, tries() as count:
        further = Puller(client=client, sources=tuple(cohort.sources), sizes=Sizes(page=1))
        outcome = pulled.apply(cohort, page, further=further)
        assert count() <= 7
    assert here.Customer.objects.filter(name="late").exists()
    assert ReplicaState.objects.get(name="replicas.order").cursor == outcome.cursor
    follower.run_once()
    equal()


@pytest.fixture
def remarks():
    """Have a table of one's own, with a foreign key to the replica of orders."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE remarks (id int, about bigint CONSTRAINT remarks_about REFERENCES replicas_order "
            "DEFERRABLE INITIALLY DEFERRED)"
        )
        yield cursor
        cursor.execute("DROP TABLE remarks")


def test_a_replica_waits_with_a_reason_while_a_local_table_refers_to_its_row(follower, remarks):
    write()
    follower.run_once()
    remarks.execute("INSERT INTO remarks SELECT 1, id FROM replicas_order WHERE quantity = 1")
    there.Order.objects.filter(quantity=1).delete()
    there.Stock.objects.update(amount=9)
    with pytest.raises(exceptions.ReplicaFailed) as caught:
        follower.run_once()
    assert caught.value.name == "replicas.order"
    assert 'violates foreign key constraint "remarks_about" on table "remarks"' in caught.value.reason
    assert "public.remarks is no replica" in caught.value.reason
    assert "db_constraint=False" in caught.value.reason
    state = ReplicaState.objects.get(name="replicas.order")
    assert state.last_error == caught.value.reason
    assert state.next_attempt is not None
    failing = set(ReplicaState.objects.filter(failing_since__isnull=False).values_list("name", flat=True))
    assert failing == {"replicas.order"}
    assert set(here.Stock.objects.values_list("amount", flat=True)) == {9}, "the others go on"
    remarks.execute("DELETE FROM remarks")
    let_wait("replicas.order", None)
    follower.run_once()
    equal()


@pytest.mark.parametrize("limit", [1, 1000])
def test_three_at_other_cursors_that_refer_to_each_other_catch_up(follower, follow, limit):
    write()
    follower.run_once()
    customers, orders = pulled.cohort_of("replicas.customer"), pulled.cohort_of("replicas.order")
    there.Customer.objects.create(id=5000, name="first")
    there.Customer.objects.create(id=5001, name="second")
    there.Order.objects.filter(quantity=3).update(customer=5001)
    there.Order.objects.filter(quantity=4).update(customer=5001)
    take_a_page(customers, 1)
    there.Order.objects.filter(quantity=5).update(customer=5001)
    there.Order.objects.filter(quantity=3).delete()
    with pytest.raises(exceptions.ReplicaFailed, match=r"replicas\.order"):
        take_a_page(orders, 1)
    follower = follow(sizes=Sizes(page=limit))
    let_wait("replicas.customer", timezone.now() + timedelta(days=1))
    let_wait("replicas.order", timezone.now() + timedelta(days=1))
    follower.run_once()
    ReplicaState.objects.update(next_attempt=None)
    assert ReplicaState.objects.values("cursor").distinct().count() == 3
    follower.run_once()
    equal()


def test_replicas_wait_for_a_recopied_replica_they_refer_to(follower):
    """The orders' old rows would refer to customers that are gone."""
    write()
    follower.run_once()
    positions.copy_again([declaration.get("replicas.order")], "default")
    with connection.cursor() as run:
        run.execute("DELETE FROM shop_order WHERE customer_id = (SELECT id FROM shop_customer WHERE name = 'c5')")
        run.execute("DELETE FROM shop_customer WHERE name = 'c5'")
    with services.get("shop").client() as client:
        assert follower.steps.step(client)
    assert here.Customer.objects.filter(name="c5").exists()
    assert not here.Shout.objects.filter(shout="C5").exists()
    follower.run_once()
    equal()


def test_a_copy_is_kept_if_a_replica_caught_up_with_it_fails(follower):
    """It took long to make, and nothing is wrong with it."""
    write()
    follower.run_once()
    positions.copy_again([declaration.get("replicas.order")], "default")
    there.Customer.objects.filter(name="c1").update(name="bad")
    with connection.cursor() as run:
        run.execute("ALTER TABLE replicas_customer ADD CONSTRAINT fits CHECK (name <> 'bad')")
        try:
            with pytest.raises(exceptions.ReplicaFailed, match=r"replicas\.customer: .*fits"):
                follower.run_once()
        finally:
            run.execute("ALTER TABLE replicas_customer DROP CONSTRAINT fits")
    made = Copy.objects.get()
    assert made.whole
    ReplicaState.objects.update(next_attempt=None)
    follower.run_once()
    equal()
    assert not Copy.objects.exists()


def test_a_replica_to_be_copied_again_is_not_moved_by_a_stale_follower(follower):
    """The copy goes on from where it stands."""
    write()
    follower.run_once()
    seen = pulled.cohort()
    there.Stock.objects.update(amount=7)
    page = pulled.page(seen)
    positions.copy_again([declaration.get("replicas.stock")], "default")
    assert pulled.apply(seen, page) is MOVED
    follower.run_once()
    equal()


def test_a_copy_includes_replicas_with_an_expired_cursor(follower):
    write()
    follower.run_once()
    positions.copy_again([declaration.get("replicas.order")], "default")
    ReplicaState.objects.filter(name="replicas.customer").update(cursor="AgEAAAAFAAA")
    there.Order.objects.create(reference="new", customer=there.Customer.objects.create(name="new"))
    follower.run_once()
    equal()


def test_a_replica_that_fails_waits_and_catches_up(follower):
    """An order does not fit: orders stop; all else goes on, and nothing is lost."""
    write()
    follower.run_once()
    with connection.cursor() as run:
        run.execute("ALTER TABLE replicas_order ADD CONSTRAINT few CHECK (quantity < 1000)")
    try:
        there.Order.objects.filter(quantity=3).update(quantity=1000)
        there.Customer.objects.filter(name="c1").update(name="changed")
        with pytest.raises(exceptions.ReplicaFailed, match=r"replicas.order: .*few"):
            follower.run_once()
        assert here.Shout.objects.filter(shout="CHANGED").exists()
        assert here.Customer.objects.filter(name="changed").exists()
        state = ReplicaState.objects.get(name="replicas.order")
        assert (state.state, state.attempts) == ("failing", 1)
        assert "few" in health.checks("default")["replica replicas.order"]
        there.Customer.objects.filter(name="c2").update(name="changed again")
        with pytest.raises(exceptions.ReplicaFailed):
            until_due(follower)
    finally:
        with connection.cursor() as run:
            run.execute("ALTER TABLE replicas_order DROP CONSTRAINT few")
    until_due(follower)
    equal()
    assert ReplicaState.objects.values("cursor").distinct().count() == 1
    assert set(health.checks("default").values()) == {"ok"}


def until_due(follower):
    """Follow once the waiting replicas may be tried again."""
    processes.until(lambda: not cohorts.snapshot("shop", "default", timezone.now()).next_attempt())
    follower.run_once()


def test_two_that_follow_apply_each_page_once(follower):
    """Both have pulled the same page; the second follower finds the replicas moved, and applies nothing."""
    write()
    follower.run_once()
    there.Order.objects.update(quantity=5)
    cohort = pulled.cohort()
    page = pulled.page(cohort)
    assert pulled.applied(cohort, page)
    there.Order.objects.update(quantity=6)
    follower.run_once()
    further = pulled.cohort()
    assert pulled.apply(cohort, page) is MOVED
    assert pulled.cohort().cursor == further.cursor != page.cursor
    equal()


def test_applying_a_page_locks_the_positions_until_it_is_committed(follower):
    """A second one waits for the lock, and then stands elsewhere: with two connections, in the worst order."""
    write()
    follower.run_once()
    there.Order.objects.update(quantity=5)
    cohort = pulled.cohort()
    page = pulled.page(cohort)
    results = []

    def second():
        try:
            results.append(pulled.apply(cohort, page))
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with session() as watcher, transaction.atomic():
        assert pulled.applied(cohort, page)
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        processes.until(lambda: watcher.execute(waits).fetchone()[0] == 1)
    thread.join(60)
    assert results == [MOVED]
    equal()
