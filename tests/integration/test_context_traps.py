"""Former ways to lose a context, or to do harm with it: each has its test."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.context import actors, announce, contexts, requests
from pubsubpull.audit.models import Request
from pubsubpull.log import feed
from tests.factories import customers_and_users as log
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO shop_customer (name, email) VALUES ('{}', '')"


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def test_a_rollback_to_a_savepoint_does_not_bring_a_context_back_that_was_left():
    with transaction.atomic():
        with pubsubpull.context(user="ann"):
            Customer.objects.create(name="a")
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            Customer.objects.create(name="lost")
            raise ZeroDivisionError
        Customer.objects.create(name="after")
        Customer.objects.create(name="after that")
    assert log() == [("a", "ann"), ("after", None), ("after that", None)]


def test_a_rollback_in_a_transaction_that_was_told_nothing_changes_nothing():
    with transaction.atomic():
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            raise ZeroDivisionError
        Customer.objects.create(name="a")
    assert log() == [("a", None)]


@pytest.mark.parametrize("begin", ["named-cursor", "own-query", "raw-cursor", "user"])
def test_a_transaction_is_seen_to_begin_whatever_begins_it(begin):
    Customer.objects.create(name="0")
    begun = {
        "named-cursor": lambda: list(Customer.objects.iterator()),
        "own-query": feed.present,
        "raw-cursor": lambda: connection.connection.execute("SELECT 1"),
        "user": lambda: with_the_user_being_read(Customer.objects.count),
    }
    with pubsubpull.context(user="ann"):
        for name in "12":
            with transaction.atomic():
                begun[begin]()
                Customer.objects.create(name=name)
    assert log() == [("0", None), ("1", "ann"), ("2", "ann")]


def with_the_user_being_read(query):
    with pubsubpull.context():
        actors.read(query)


def test_a_wrapper_within_sees_the_result_and_the_error_of_its_statement():
    seen = []

    def inner(execute, query, params, many, state):
        try:
            result = execute(query, params, many, state)
        except IntegrityError:
            seen.append("error")
            raise
        seen.append(state["cursor"].rowcount)
        return result

    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"), connection.execute_wrapper(inner):
        run("UPDATE shop_customer SET name = 'b'")
        with pytest.raises(IntegrityError):
            run("INSERT INTO shop_customer (id, name, email) VALUES (%s, 'x', '')", (customer.pk,))
    assert seen == [1, "error"]


@pytest.mark.parametrize(
    "text",
    [
        INSERT.format("a;b"),
        f"{INSERT.format('x')}; {INSERT.format('y')}",
        f"/* from an app */ {INSERT.format('a')}",
        f"-- from an app\n  {INSERT.format('a')}",
        INSERT.format("a").encode(),
        psycopg.sql.SQL("INSERT INTO {} (name, email) VALUES ({}, '')").format(
            psycopg.sql.Identifier("shop_customer"), psycopg.sql.Literal("a;b")
        ),
        f"WITH x AS (SELECT 1) {INSERT.format('a')}",
    ],
    ids=["semicolon", "two", "comment", "line-comment", "bytes", "composed", "with"],
)
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_a_write_carries_the_context_however_its_text_looks(text, atomic):
    with pubsubpull.context(user="ann"), transaction.atomic() if atomic else contextlib.nullcontext():
        run(text)
    assert log()
    assert {who for _, who in log()} == {"ann"}
    assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_of_several_statements_in_autocommit_all_or_none_are_done():
    with pubsubpull.context(user="ann"), pytest.raises(IntegrityError):
        run(f"{INSERT.format('a')}; INSERT INTO shop_customer (name) VALUES (NULL)")
    assert log() == []
    Customer.objects.create(name="b")
    assert log() == [("b", None)]


def test_statements_that_must_precede_the_first_query_may_do_so():
    with pubsubpull.context(user="ann"), transaction.atomic():
        run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        run("LOCK TABLE shop_customer")
        Customer.objects.create(name="a")
    assert log() == [("a", "ann")]


def test_executemany_gives_its_rows_back():
    with pubsubpull.context(user="ann"), connection.cursor() as cursor:
        cursor.cursor.executemany(
            "INSERT INTO shop_customer (name, email) VALUES (%s, '') RETURNING name", [("a",), ("b",)], returning=True
        )
        found = [cursor.cursor.fetchone()]
        while cursor.cursor.nextset():
            found.append(cursor.cursor.fetchone())
    assert found == [("a",), ("b",)]
    assert log() == [("a", "ann"), ("b", "ann")]


def test_a_hand_opened_transaction_in_an_own_pipeline_stays_unchanged():
    connection.ensure_connection()
    with pubsubpull.context(user="ann"), connection.connection.pipeline():
        cursor = connection.connection.cursor()
        cursor.execute(INSERT.format("a"))
        cursor.execute(INSERT.format("b"))
    assert [name for name, _ in log()] == ["a", "b"]


def test_a_function_that_was_decorated_keeps_its_context_while_it_awaits():
    @pubsubpull.context(source="task", user="ann")
    async def work():
        """Do the work."""
        await Customer.objects.acreate(name="a")

    async def main():
        await work()
        await work()
        await Customer.objects.acreate(name="b")
        await sync_to_async(connections.close_all)()

    asyncio.run(main())
    assert log() == [("a", "ann"), ("a", "ann"), ("b", None)]
    assert Request.objects.count() == 2
    assert work.__doc__ == "Do the work."


def test_a_context_is_open_once():
    block = pubsubpull.context(user="ann")
    with block, pytest.raises(exceptions.ContextError, match="open already"):
        block.__enter__()
    assert contexts.current() is None
    with block:
        Customer.objects.create(name="a")
    assert log() == [("a", "ann")]


def test_a_user_whose_query_fails_takes_no_transaction_along(caplog):
    class Caller:
        user = SimpleLazyObject(lambda: run("SELECT 1 / 0"))

    made = contexts.Context(**{**vars(job()), "actor": lambda: requests._actor(Caller)})
    with contexts.entered(made), transaction.atomic():
        Customer.objects.create(name="a")
    assert log() == [("a", None)]
    assert "the user of a change cannot be read: DataError" in caplog.text


def test_reading_the_user_may_write_and_does_not_ask_for_the_user_again(caplog):
    def read():
        Customer.objects.create(name="last seen")
        return actors.Actor(id="1", name="ann")

    made = contexts.Context(**{**vars(job()), "actor": read})
    with contexts.entered(made):
        Customer.objects.create(name="a")
    assert log() == [("last seen", None), ("a", "ann")]
    assert caplog.text == ""


def job():
    with pubsubpull.context() as made:
        return made


def test_nothing_holds_on_to_the_connection_of_a_thread_that_ended():
    sessions, left = [], []

    def work():
        with pubsubpull.context(user="ann"):
            Customer.objects.create(name="a")
        sessions.append(connection.connection)
        left.append(weakref.ref(connections["default"]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    gc.collect()
    assert [reference() for reference in left] == [None]
    sessions[0].close()


def test_a_connection_holds_on_to_no_context():
    with pubsubpull.context(user="ann") as made, transaction.atomic():
        Customer.objects.create(name="a")
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"big": ["x" * 1000] * 101}, "may have 100000 characters"),
        ({"deep": eval("[" * 40 + "]" * 40)}, "nested 32 deep"),
        ({"far": eval("[" * 90 + "]" * 90)}, "nested 32 deep"),
    ],
)
def test_metadata_without_measure_is_refused_where_it_is_made(metadata, words):
    with pytest.raises(exceptions.ContextError, match=words), pubsubpull.context(**metadata):
        raise AssertionError("not reached")


def test_metadata_as_deep_and_as_long_as_may_be_is_written():
    deep = eval("[" * 31 + "]" * 31)
    with pubsubpull.context(deep=deep, long=["x" * 1000] * 98):
        Customer.objects.create(name="a")
    assert Request.objects.get().metadata["deep"] == deep


@pytest.fixture
def _unreachable():
    """Have no server where the database is said to be."""
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], 1
    with pytest.raises(OperationalError):
        connection.ensure_connection()
    yield
    connection.settings_dict["PORT"] = port


@pytest.mark.usefixtures("_unreachable")
def test_the_end_of_a_request_that_cannot_be_noted_is_logged_and_raises_nothing(caplog):
    made = requests.opened(RequestFactory().get("/"))
    made.was_written("default")
    requests.finish(made, 200)
    assert "is not noted: OperationalError" in caplog.text


@pytest.mark.usefixtures("_unreachable")
def test_a_database_that_wrote_nothing_of_a_request_is_not_asked_to_note_the_end(caplog):
    requests.finish(requests.opened(RequestFactory().get("/")), 200)
    assert caplog.text == ""


def test_the_end_of_a_request_leaves_no_connection_where_there_was_none():
    made = requests.opened(RequestFactory().get("/"))
    made.was_written("default")
    connection.close()
    requests.finish(made, 200)
    assert connection.connection is None
    connection.ensure_connection()
    requests.finish(made, 200)
    assert connection.connection is not None


def test_a_connection_that_is_attached_twice_is_told_once():
    connection.ensure_connection()
    before = connection.connection.cursor
    announce.connect(connection)
    assert connection.connection.cursor is before


def test_a_database_of_another_kind_is_left_alone():
    class Other:
        vendor = "sqlite"

    assert announce.connect(Other()) is None
