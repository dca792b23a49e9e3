"""A context changes neither results nor errors nor the connection, with client-side and server-side binding."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connection, transaction
from psycopg.pq import PipelineStatus, TransactionStatus

import pubsubpull
from pubsubpull.audit.models import Request
from tests.factories import customers_and_users as log
from tests.shop.models import Customer, Order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_binding")]

INSERT = "INSERT INTO shop_customer (name, email) VALUES (%s, '')"
ORPHAN = (
    "INSERT INTO shop_order (customer_id, quantity, total, reference, status, internal_note, card) "
    "VALUES (%s, %s, 0, '', '', '', '')"
)
NOBODY = 999_999_999


@pytest.fixture(params=[False, True], ids=["client-side", "server-side"])
def _binding(request):
    """Run with parameters bound by the client and by the server, and look at the connection afterwards."""
    options = connection.settings_dict["OPTIONS"]
    options["server_side_binding"] = request.param
    connection.close()
    yield
    if connection.connection is not None and not connection.connection.closed:
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE
        assert connection.connection.pgconn.pipeline_status == PipelineStatus.OFF
    del options["server_side_binding"]
    connection.close()


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def alters_a_table():
    """Say whether another session may alter a table at once: nothing that we left holds a lock of it."""
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as other:
        other.execute("SET lock_timeout = '5s'")
        other.execute("ALTER TABLE shop_order ADD COLUMN later integer")
        other.rollback()
    return True


WRITES = {
    "orm": lambda: Order.objects.create(customer_id=NOBODY, quantity=1, total=0),
    "parameters": lambda: run(ORPHAN, (NOBODY, 1)),
    "text": lambda: run(ORPHAN % (NOBODY, 1)),
    "no-parameters": lambda: run(ORPHAN % (NOBODY, 1), ()),
    "returning": lambda: run(f"{ORPHAN} RETURNING id", (NOBODY, 1)),
    "many": lambda: many(ORPHAN, [(NOBODY, 1), (NOBODY, 2)]),
    "stream": lambda: list(stream(f"{ORPHAN} RETURNING id", (NOBODY, 1))),
}


def many(statement, rows):
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
        return cursor.rowcount


def stream(statement, params):
    with connection.cursor() as cursor:
        yield from cursor.cursor.stream(statement, params)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_a_constraint_deferred_to_the_commit_fails_as_without_a_context(write, atomic):
    around = transaction.atomic if atomic else contextlib.nullcontext
    for _ in range(2):
        # psycopg's own errors pass where Django's cursor is not asked.
        with (
            pubsubpull.context(user="ann"),
            pytest.raises((IntegrityError, psycopg.IntegrityError), match="foreign key"),
            around(),
        ):
            WRITES[write]()
        assert connection.is_usable()
    assert alters_a_table()
    assert not Order.objects.exists()
    assert Request.objects.count() == 0
    with pubsubpull.context(user="ann"):
        Customer.objects.create(name="after")
    assert log() == [("after", "ann")]


@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
@pytest.mark.parametrize(
    ("statement", "params", "error"),
    [
        ("UPDATE shop_customer SET name = (1 / %s)::text", (0,), DataError),
        ("UPDATE shop_customer SET name = (1 / 0)::text", None, DataError),
        ("UPDATE shop_customer SET email = %s || %s", ("a",), ProgrammingError),
        ("UPDATE shop_customer SET email = %s", (object(),), ProgrammingError),
        ("UPDATE shop_customer SET nothing = %s", (1,), ProgrammingError),
    ],
    ids=["server", "no-parameters", "missing-parameter", "no-adapter", "no-column"],
)
def test_a_statement_that_fails_takes_nothing_else_along(statement, params, error, atomic):
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        with transaction.atomic() if atomic else contextlib.nullcontext():
            with pytest.raises(error) as caught, savepoint(atomic):
                run(statement, params)
            Customer.objects.filter(pk=customer.pk).update(name="b")
        assert not isinstance(caught.value.__cause__, psycopg.errors.PipelineAborted)
        assert alters_a_table()
    assert log() == [("a", None), ("b", "ann")]


def savepoint(atomic):
    return transaction.atomic() if atomic else contextlib.nullcontext()


@pytest.mark.parametrize("params", [("a",), None], ids=["parameters", "none"])
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_a_context_that_the_encoding_of_the_client_cannot_tell_fails_no_write(atomic, params):
    run("SET client_encoding = 'LATIN1'")
    with pubsubpull.context(user="łucja", note="日本"), savepoint(atomic):
        run(INSERT if params else INSERT.replace("%s", "'a'"), params)
    connection.close()
    assert log() == [("a", "łucja")]
    assert Request.objects.get().metadata["note"] == "日本"


@pytest.mark.parametrize("params", [None, (), (1,)], ids=["none", "empty", "one"])
def test_a_session_that_is_ended_within_a_statement_is_an_error_and_the_next_works(params):
    kill = "UPDATE shop_customer SET name = 'x' WHERE pg_terminate_backend(pg_backend_pid())"
    kill += " AND 1 = %s" if params else ""
    Customer.objects.create(name="a")
    with pubsubpull.context(user="ann"):
        with pytest.raises(OperationalError):
            run(kill, params)
        connection.close_if_unusable_or_obsolete()
        connection.close()
        Customer.objects.create(name="b")
    assert log() == [("a", None), ("b", "ann")]


def test_a_connection_that_is_closed_says_so():
    Customer.objects.create(name="a")
    connection.connection.close()
    with pubsubpull.context(user="ann"), pytest.raises((psycopg.OperationalError, psycopg.InterfaceError)):
        connection.connection.cursor().execute(INSERT, ("b",))
    connection.close()


@pytest.mark.parametrize("params", [None, ("open%",)], ids=["none", "one"])
def test_an_open_named_cursor_is_the_only_one_that_the_application_sees(params):
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(5))
    # Without parameters psycopg asks by the simple protocol, whose own portal is not to be seen.
    look = f"SELECT name FROM pg_cursors WHERE name <> ''{' AND name NOT LIKE %s' if params else ''}"
    with pubsubpull.context(user="ann"), transaction.atomic():
        rows = Customer.objects.iterator(chunk_size=2)
        next(rows)
        assert len(run(look if params else "SELECT name FROM pg_cursors", params)) == 1
        assert len(list(rows)) == 4
        Customer.objects.create(name="b")
    with pubsubpull.context(user="ann"):
        assert len(list(Customer.objects.iterator(chunk_size=2))) == 6
    assert log()[-1] == ("b", "ann")


@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_the_same_rows_are_counted_and_given_back(atomic):
    def counted():
        with savepoint(atomic), connection.cursor() as cursor:
            yield many(INSERT, [("a",), ("b",)])
            yield many("UPDATE shop_customer SET email = %s", [("x",), ("y",), ("z",)])
            cursor.cursor.executemany(f"{INSERT} RETURNING name", [("c",), ("d",)], returning=True)
            yield cursor.cursor.fetchone()
            yield cursor.cursor.nextset()
            yield cursor.cursor.fetchone()
        yield run("UPDATE shop_customer SET email = %s", ("w",))
        yield run("DELETE FROM shop_customer")

    before = list(counted())
    with pubsubpull.context(user="ann"):
        assert list(counted()) == before


@pytest.mark.parametrize("by_context", [False, True], ids=["without", "within"])
def test_a_pipeline_of_the_application_is_one_transaction_as_before(by_context):
    connection.ensure_connection()
    pg = connection.connection
    with pubsubpull.context(user="ann") if by_context else contextlib.nullcontext():
        with pytest.raises(psycopg.errors.DivisionByZero), pg.pipeline():
            cursor = pg.cursor()
            cursor.execute(INSERT, ("a",))
            cursor.execute("SELECT 1 / 0")
        assert log() == []
        with pg.pipeline():
            cursor = pg.cursor()
            cursor.execute(INSERT, ("a",))
            cursor.execute(INSERT, ("b",))
    assert log() == [("a", "ann" if by_context else None), ("b", "ann" if by_context else None)]


def test_a_rollback_to_a_savepoint_in_a_pipeline_of_the_application_is_noted():
    with pubsubpull.context(user="ann"), transaction.atomic():
        pg = connection.connection
        with pg.pipeline():
            cursor = pg.cursor()
            cursor.execute("SAVEPOINT here")
        run(INSERT, ("lost",))
        with pg.pipeline():
            cursor = pg.cursor()
            cursor.execute("ROLLBACK TO SAVEPOINT here")
        run(INSERT, ("a",))
    assert log() == [("a", "ann")]


def test_a_rollback_to_a_savepoint_after_another_statement_of_its_text_is_noted():
    with pubsubpull.context(user="ann"), transaction.atomic():
        run("SAVEPOINT here")
        run(INSERT, ("lost",))
        run("SELECT 1; ROLLBACK TO SAVEPOINT here")
        run(INSERT, ("a",))
    assert log() == [("a", "ann")]


def test_prepared_and_binary_statements_carry_it():
    connection.ensure_connection()
    pg = connection.connection
    pg.prepare_threshold = 0
    with pubsubpull.context(user="ann"), contextlib.closing(psycopg.Cursor(pg)) as plain:
        assert type(plain) is psycopg.Cursor
        for name in "ab":
            pg.cursor().execute(INSERT, (name,), prepare=True)
            pg.cursor().execute(INSERT.replace("%s", "'c'"), prepare=True)
            pg.cursor().execute(INSERT.replace("%s", "'d'"))
    assert {who for _, who in log()} == {"ann"}
    assert len(log()) == 6


def test_ddl_follows_writes_in_each_way():
    with pubsubpull.context(user="ann"):
        for around in (contextlib.nullcontext, transaction.atomic):
            with around():
                run(INSERT, ("a",))
                run("CREATE TABLE later (id serial PRIMARY KEY)")
                run("INSERT INTO later VALUES (%s)", (1,))
                run("ALTER TABLE later ADD COLUMN x integer")
            run("DROP TABLE later")
    assert {who for _, who in log()} == {"ann"}


def test_a_percent_sign_is_doubled_only_where_there_are_parameters():
    with pubsubpull.context(user="ann"), transaction.atomic():
        run(INSERT.replace("%s", "'50%'"))
        run(INSERT.replace("%s", "'%%'"), ())
    assert log() == [("50%", "ann"), ("%", "ann")]
