"""Each change names the request or job that made it, however it was written."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User
from django.db import DataError, IntegrityError, connection, connections, transaction

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from tests.factories import customers_and_users as log
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=[False, True], ids=["client-side", "server-side"])
def _binding(request):
    """Run with parameters bound by the client and by the server."""
    options = connection.settings_dict["OPTIONS"]
    options["server_side_binding"] = request.param
    connection.close()
    yield
    del options["server_side_binding"]
    connection.close()


def run(statement, params=None, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


@pytest.mark.usefixtures("_binding")
def test_autocommit_carries_the_context_and_returns_its_rows():
    with pubsubpull.context(user="ann"):
        customer = Customer.objects.create(name="a")
        assert Customer.objects.filter(pk=customer.pk).update(name="b") == 1
        assert run("UPDATE shop_customer SET name = 'c' RETURNING id") == [(customer.pk,)]
        assert customer.delete()[0] == 1
    assert log() == [("a", "ann"), ("b", "ann"), ("c", "ann"), ("c", "ann")]
    assert Request.objects.count() == 1


@pytest.mark.usefixtures("_binding")
def test_a_transaction_carries_it_and_nothing_is_left_afterwards():
    with pubsubpull.context(user="ann"), transaction.atomic():
        Customer.objects.create(name="a")
        Customer.objects.create(name="b")
    Customer.objects.create(name="c")
    with transaction.atomic():
        Customer.objects.create(name="d")
    assert log() == [("a", "ann"), ("b", "ann"), ("c", None), ("d", None)]
    assert run("SELECT current_setting('pubsubpull.request', true)") == [("",)]


@pytest.mark.usefixtures("_binding")
def test_a_rollback_to_a_savepoint_takes_nothing_of_it_away():
    with pubsubpull.context(user="ann"), transaction.atomic():
        with contextlib.suppress(DataError), transaction.atomic():
            Customer.objects.create(name="lost")
            run("SELECT 1 / 0")
        Customer.objects.create(name="kept")
        # Django 6.1 renamed it.
        savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint
        made = savepoint()
        Customer.objects.create(name="lost too")
        transaction.savepoint_rollback(made)
        Customer.objects.create(name="kept too")
    assert log() == [("kept", "ann"), ("kept too", "ann")]
    assert Request.objects.count() == 1


def test_a_context_that_is_entered_or_left_within_a_transaction_holds_for_its_own_writes():
    with transaction.atomic():
        Customer.objects.create(name="before")
        with pubsubpull.context(user="ann"):
            Customer.objects.create(name="a")
            with pubsubpull.context(user="bob"):
                Customer.objects.create(name="b")
            Customer.objects.create(name="a again")
        Customer.objects.create(name="after")
    assert log() == [("before", None), ("a", "ann"), ("b", "bob"), ("a again", "ann"), ("after", None)]
    assert Request.objects.count() == 2


@pytest.mark.usefixtures("_binding")
def test_every_form_of_parameters_goes_through_as_it_is():
    with pubsubpull.context(user="ann"):
        run("INSERT INTO shop_customer (name, email) VALUES ('100 %', '')")
        run("INSERT INTO shop_customer (name, email) VALUES (%(name)s, '%%')", {"name": "dict"})
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO shop_customer (name, email) VALUES (%s, '')", [("many",), ("more",)])
            assert cursor.rowcount == 2
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO shop_customer (name, email) VALUES (%s, '')", [("x",), ("y",)])
    assert log() == [(name, "ann") for name in ("100 %", "dict", "many", "more", "x", "y")]


def test_several_statements_in_one_text_go_through():
    one = "INSERT INTO shop_customer (name, email) VALUES ('{}', '')"
    both = f"{one}; {one};"
    with pubsubpull.context(user="ann"):
        with transaction.atomic():
            run(both.format("a", "b"))
        run(both.format("c", "d"))
    assert log()[:2] == [("a", "ann"), ("b", "ann")]
    assert [name for name, _ in log()] == ["a", "b", "c", "d"]


def test_statements_that_must_be_alone_and_empty_ones_are_left_alone():
    with pubsubpull.context(user="ann"):
        run("VACUUM shop_customer")
        run("CREATE INDEX CONCURRENTLY later ON shop_customer (name)")
        run("DROP INDEX later")
        run("SELECT 1")
        run(" ")
    assert log() == []


def test_errors_are_the_same_as_without_a_context():
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        with pytest.raises(IntegrityError):
            run("INSERT INTO shop_customer (id, name, email) VALUES (%s, 'x', '')", (customer.pk,))
        with pytest.raises(IntegrityError), transaction.atomic():
            run("INSERT INTO shop_customer (id, name, email) VALUES (%s, 'x', '')", (customer.pk,))
        with transaction.atomic(), contextlib.suppress(DataError), transaction.atomic():
            run("UPDATE shop_order SET quantity = '99999999999999'; SELECT 1/0")
        Customer.objects.create(name="b")
    assert log() == [("a", None), ("b", "ann")]


@pytest.mark.parametrize("before", [False, True], ids=["first", "after-another"])
def test_copy_within_a_transaction_carries_it(before):
    with pubsubpull.context(user="ann"), transaction.atomic(), connection.cursor() as cursor:
        if before:
            Customer.objects.create(name="before")
        with cursor.copy("COPY shop_customer (name, email) FROM STDIN") as copy:
            copy.write_row(("copied", ""))
    with connection.cursor() as cursor, cursor.copy("COPY shop_customer (name, email) FROM STDIN") as copy:
        copy.write_row(("alone", ""))
    assert log() == [("before", "ann")] * before + [("copied", "ann"), ("alone", None)]


def test_a_function_that_writes_carries_it_within_a_transaction():
    run(
        "CREATE FUNCTION pg_temp.add(text) RETURNS void LANGUAGE sql AS "
        "$$ INSERT INTO public.shop_customer (name, email) VALUES ($1, '') $$"
    )
    with pubsubpull.context(user="ann"), transaction.atomic():
        run("SELECT pg_temp.add('a')")
        Customer.objects.create(name="b")
    assert [name for name, _ in log()] == ["a", "b"]
    assert Change.objects.filter(model="shop.customer", request_id=None).count() == 0


def test_iterators_and_locks_work_within_a_context():
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(5))
    with pubsubpull.context(user="ann"):
        assert len(list(Customer.objects.iterator(chunk_size=2))) == 5
        with transaction.atomic():
            assert len(list(Customer.objects.select_for_update().iterator(chunk_size=2))) == 5


@pytest.mark.django_db(transaction=True, databases=["default", "second"])
def test_each_database_gets_it():
    run("TRUNCATE pubsubpull_change, pubsubpull_request", using="second")
    with pubsubpull.context(user="ann"), transaction.atomic(using="second"):
        Customer.objects.using("second").create(name="there")
        Customer.objects.create(name="here")
    assert (log("second"), log()) == ([("there", "ann")], [("here", "ann")])


def test_threads_keep_their_contexts_apart():
    barrier = threading.Barrier(3)

    def work(name):
        try:
            with pubsubpull.context(user=name):
                barrier.wait(60)
                with transaction.atomic():
                    Customer.objects.create(name=name)
                    barrier.wait(60)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("ann", "bob")]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    Customer.objects.create(name="nobody")
    barrier.wait(60)
    for thread in threads:
        thread.join(60)
    assert sorted(log(), key=str) == [("ann", "ann"), ("bob", "bob"), ("nobody", None)]


def test_tasks_of_one_loop_keep_their_contexts_apart():
    async def work(name, own, other):
        with pubsubpull.context(user=name):
            own.set()
            await other.wait()
            await Customer.objects.acreate(name=name)
            await sync_to_async(Customer.objects.filter(name=name).update)(email=name)

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(work("ann", one, two), work("bob", two, one))
        await Customer.objects.acreate(name="nobody")
        await sync_to_async(connections.close_all)()

    asyncio.run(both())
    assert sorted(log(), key=str) == [("ann", "ann")] * 2 + [("bob", "bob")] * 2 + [("nobody", None)]


def test_two_transactions_of_one_request_do_not_wait_for_each_other():
    with pubsubpull.context(user="ann") as made:
        done = threading.Event()

        def other():
            from pubsubpull.audit.context.contexts import entered

            try:
                with entered(made):
                    Customer.objects.create(name="other")
            finally:
                connection.close()
                done.set()

        with transaction.atomic():
            Customer.objects.create(name="first")
            thread = threading.Thread(target=other)
            thread.start()
            assert done.wait(60), "the second transaction waits for the first"
            thread.join(60)
    assert sorted(log()) == [("first", "ann"), ("other", "ann")]


def test_the_metadata_and_the_source_are_kept():
    with pubsubpull.context(source="import", user="ann", file="orders.csv", rows=[1, 2]):
        Customer.objects.create(name="a")
    (request,) = Request.objects.all()
    assert (request.source, request.metadata) == ("import", {"file": "orders.csv", "rows": [1, 2]})


@pytest.mark.parametrize("wrong", [{"x": object()}, {"x": float("nan")}, {"x": {1, 2}}])
def test_metadata_that_is_no_json_is_refused_where_it_is_made(wrong):
    with pytest.raises(exceptions.ContextError, match="must be JSON"), pubsubpull.context(**wrong):
        raise AssertionError("not reached")


def test_text_that_postgresql_cannot_take_never_fails_a_write():
    with pubsubpull.context(user="a\0b\ud800", note="x\0y", deep=[{"k\0": "\udfff"}], long="x" * 10_000):
        Customer.objects.create(name="a")
    (request,) = Request.objects.all()
    assert request.user_name == "a\ufffdb?"
    assert request.metadata["note"] == "x\ufffdy"
    assert request.metadata["deep"] == [{"k\ufffd": "?"}]
    assert len(request.metadata["long"]) == 2000


def test_a_user_is_recorded_by_key_and_name_and_an_anonymous_one_by_neither():
    user = User.objects.create(username="ann")
    with pubsubpull.context(user=user):
        Customer.objects.create(name="a")
    with pubsubpull.context(user=AnonymousUser()):
        Customer.objects.create(name="b")
    with pubsubpull.context(user=Order(pk=7)):
        Customer.objects.create(name="c")
    found = list(Request.objects.order_by("started").values_list("user_id", "user_name"))
    assert found == [(str(user.pk), "ann"), (None, None), ("7", "Order object (7)")]


def test_a_context_decorates_a_function():
    @pubsubpull.context(source="task", user="ann")
    def work():
        Customer.objects.create(name="a")

    work()
    work()
    assert log() == [("a", "ann"), ("a", "ann")]


ID = "0192f0c1-2d3e-7abc-8def-0123456789ab"


@pytest.mark.parametrize(
    "setting", ["nonsense", ID, f"{ID}{{", f'{ID}{{"elapsed": "x"}}', f'{ID}{{"elapsed": 1e300}}', f"x{ID}{{}}"]
)
def test_a_setting_made_by_hand_that_is_no_request_harms_nothing(setting):
    with transaction.atomic():
        run("SELECT set_config('pubsubpull.request', %s, true)", (setting,))
        Customer.objects.create(name="a")
    assert log() == [("a", None)]
    assert Change.objects.get(model="shop.customer").request_id is None


def test_a_setting_made_by_hand_that_is_a_request_is_one():
    with transaction.atomic():
        run("SELECT set_config('pubsubpull.request', %s, true)", (f'{ID}{{"user_name": "psql"}}',))
        Customer.objects.create(name="a")
    assert log() == [("a", "psql")]
    assert Request.objects.get().source == "unknown"


def test_django_debugging_wrappers_and_ours_do_not_disturb_each_other():
    seen = []

    def watch(execute, query, params, many, state):
        seen.append(query)
        return execute(query, params, many, state)

    connection.close()
    with connection.execute_wrapper(watch), pubsubpull.context(user="ann"):
        Customer.objects.create(name="a")
    with pubsubpull.context(user="bob"):
        Customer.objects.create(name="b")
    assert log() == [("a", "ann"), ("b", "bob")]
    assert not any("set_config" in query for query in seen)
    assert all('"b"' not in query for query in seen)
