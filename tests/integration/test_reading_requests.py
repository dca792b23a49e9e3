"""A request that only reads costs nothing, and the query log has the application's own queries only."""

from __future__ import annotations

import contextlib
import logging

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import pubsubpull
from pubsubpull.audit.context import contexts
from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from tests.factories import customers_and_users as log
from tests.shop.models import Customer

INSERT = "INSERT INTO shop_customer (name, email) VALUES ('{}', '')"
WRITER = """
CREATE OR REPLACE FUNCTION pg_temp.writes(text) RETURNS void LANGUAGE sql AS
$$ INSERT INTO shop_customer (name, email) VALUES ($1, '') $$
"""


@pytest.fixture(params=[False, True], ids=["client-side", "server-side"])
def _binding(request):
    """Run with parameters bound by the client and by the server."""
    options = connection.settings_dict["OPTIONS"]
    options["server_side_binding"] = request.param
    connection.close()
    yield
    del options["server_side_binding"]
    connection.close()


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else cursor.rowcount


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/read/", "/read-with/"])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_request_that_reads_within_a_transaction_costs_its_own_queries_alone(
    client, address, logged_in, django_assert_num_queries
):
    if logged_in:
        client.force_login(User.objects.create(username="ann"))
    with django_assert_num_queries(1):
        assert client.get(address).status_code == 200


@pytest.mark.django_db
def test_a_request_that_writes_within_a_transaction_costs_no_query_that_is_counted(client, django_assert_num_queries):
    with django_assert_num_queries(1):
        client.get("/write/a/")
    assert Request.objects.get().status == 201


@pytest.mark.django_db(transaction=True)
def test_a_request_that_writes_only_unpublished_models_is_not_recorded(client, monkeypatch):
    sent = []
    monkeypatch.setattr(psycopg.ClientCursor, "execute", spy(sent, psycopg.ClientCursor.execute))
    assert client.get("/write-other/").status_code == 200
    assert not any("pubsubpull_finish_request" in str(text) for text in sent)


def spy(seen, execute):
    def see(self, query, *args, **kwargs):
        seen.append(query)
        return execute(self, query, *args, **kwargs)

    return see


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_binding")
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_the_log_of_queries_shows_the_statement_alone(atomic, caplog):
    caplog.set_level(logging.DEBUG, "django.db.backends")
    around = transaction.atomic() if atomic else contextlib.nullcontext()
    with CaptureQueriesContext(connection) as seen, pubsubpull.context(user="ann", note="secret"), around:
        run("INSERT INTO shop_customer (name, email) VALUES (%s, %s)", ("100%", "x"))
        with contextlib.suppress(Exception), transaction.atomic():
            run("SELECT * FROM nowhere")
    assert log() == [("100%", "ann")]
    texts = [query["sql"] for query in seen.captured_queries]
    assert next(text for text in texts if "INSERT" in text).startswith("INSERT INTO")
    for text in [*texts, caplog.text]:
        assert not any(word in text for word in ("ann", "secret", "set_config"))


@pytest.mark.django_db(transaction=True)
def test_a_cursor_holds_the_results_of_its_own_statements_alone():
    with pubsubpull.context(user="ann"), connection.cursor() as cursor:
        cursor.cursor.execute(f"{INSERT.format('a')} RETURNING name; SELECT 2")
        found = [result.fetchall() for result in cursor.cursor.results()]
        cursor.cursor.set_result(0)
        assert (found, cursor.cursor.fetchall()) == ([[("a",)], [(2,)]], [("a",)])


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_bound_by_its_own_settings():
    connection.ensure_connection()
    assert connection.execute_wrappers == []
    assert connection.connection.cursor_factory is connection.get_connection_params()["cursor_factory"]
    with connection.cursor() as cursor:
        assert isinstance(cursor.cursor, connection.connection.cursor_factory)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_binding")
def test_the_first_statement_may_be_a_select_of_a_function_that_writes():
    run(WRITER)
    with pubsubpull.context(user="ann"):
        with transaction.atomic():
            run("SELECT pg_temp.writes('a')")
        Customer.objects.create(name="b")
    assert log() == [("a", "ann"), ("b", "ann")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_binding")
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
@pytest.mark.parametrize("way", ["explain", "execute", "stream", "copy", "raw", "several"])
def test_every_writing_statement_names_its_request(way, atomic):
    def copied(cursor):
        with cursor.copy("COPY shop_customer (name, email) FROM STDIN") as copy:
            copy.write_row(("a", ""))

    ways = {
        "explain": lambda cursor: cursor.execute(f"EXPLAIN (ANALYZE) {INSERT.format('a')}"),
        "execute": lambda cursor: cursor.execute("EXECUTE put('a')"),
        "stream": lambda cursor: list(cursor.stream(f"{INSERT.format('a')} RETURNING id")),
        "copy": copied,
        "raw": lambda cursor: cursor.connection.execute(INSERT.format("a")),
        "several": lambda cursor: cursor.execute(f"SELECT 1; {INSERT.format('a')}"),
    }
    run("PREPARE put (text) AS INSERT INTO shop_customer (name, email) VALUES ($1, '')")
    around = transaction.atomic() if atomic else contextlib.nullcontext()
    with pubsubpull.context(user="ann"), around, connection.cursor() as cursor:
        ways[way](cursor.cursor)
    run("DEALLOCATE put")
    assert log() == [("a", "ann")]
    assert connection.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.django_db(transaction=True)
def test_a_stream_left_early_keeps_the_changes_it_wrote():
    with pubsubpull.context(user="ann"), connection.cursor() as cursor:
        stream = cursor.cursor.stream(f"{INSERT.format('a')} RETURNING id")
        next(stream)
        stream.close()
    assert log() == [("a", "ann")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["error", "forced"])
def test_a_savepoint_of_psycopgs_that_is_rolled_back_takes_its_context_along(way):
    with pubsubpull.context(user="ann"), transaction.atomic():
        Customer.objects.create(name="a")
        with pubsubpull.context(user="bob"):
            forced = way == "forced"
            with contextlib.suppress(ZeroDivisionError), connection.connection.transaction(force_rollback=forced):
                Customer.objects.create(name="lost")
                if not forced:
                    raise ZeroDivisionError
            Customer.objects.create(name="b")
        Customer.objects.create(name="c")
    assert log() == [("a", "ann"), ("b", "bob"), ("c", "ann")]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_of_psycopgs_own_is_seen_to_begin():
    Customer.objects.create(name="0")
    with pubsubpull.context(user="ann"):
        for name in "12":
            with connection.connection.transaction():
                Customer.objects.create(name=name)
    assert log() == [("0", None), ("1", "ann"), ("2", "ann")]


@pytest.mark.django_db
def test_an_end_that_cannot_be_noted_leaves_the_transaction_of_a_test_usable(client, caplog):
    run("ALTER FUNCTION pubsubpull_finish_request RENAME TO gone")
    assert client.get("/write/a/").status_code == 201
    assert Customer.objects.count() == 1
    assert "is not noted: ProgrammingError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_context_within_a_request_inherits_fields_it_does_not_set(client):
    client.force_login(User.objects.create(username="ann"))
    client.get("/write-reason/a/", headers={"User-Agent": "browser"}, REMOTE_ADDR="192.0.2.7")
    (found,) = Request.objects.all()
    assert (found.user_name, found.method, found.path) == ("ann", "GET", "/write-reason/a/")
    assert (found.ip, found.source, found.status) == ("192.0.2.7", "http", 200)
    assert found.metadata == {"reason": "typo"}
    assert found.duration > 0


@pytest.mark.django_db(transaction=True)
def test_a_context_within_a_context_may_set_each_part():
    with pubsubpull.context(source="import", user="ann", file="a", line=1):
        with pubsubpull.context(line=2):
            Customer.objects.create(name="a")
        with pubsubpull.context(source="other", user=None):
            Customer.objects.create(name="b")
        with pubsubpull.context(user="bob"):
            Customer.objects.create(name="c")
    found = {r.id: r for r in Request.objects.all()}
    made = [found[c.request_id] for c in Change.objects.filter(model="shop.customer")]
    assert [(r.source, r.user_name, r.metadata) for r in made] == [
        ("import", "ann", {"file": "a", "line": 2}),
        ("other", None, {"file": "a", "line": 1}),
        ("import", "bob", {"file": "a", "line": 1}),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_binding")
@pytest.mark.parametrize("atomic", [False, True], ids=["autocommit", "atomic"])
def test_an_annotation_belongs_to_all_changes_of_the_context(atomic):
    around = transaction.atomic() if atomic else contextlib.nullcontext()
    with pubsubpull.context(user="ann", file="x"), around:
        pubsubpull.annotate(before="the first")
        Customer.objects.create(name="a")
        pubsubpull.annotate(reason="typo", file="y")
        Customer.objects.create(name="b")
    assert {c.request_id for c in Change.objects.filter(model="shop.customer")} == {Request.objects.get().id}
    assert Request.objects.get().metadata == {"before": "the first", "reason": "typo", "file": "y"}


@pytest.mark.django_db(transaction=True)
def test_an_annotation_holds_though_earlier_writes_are_rolled_back():
    with pubsubpull.context(user="ann"), transaction.atomic():
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            Customer.objects.create(name="lost")
            pubsubpull.annotate(reason="typo")
            raise ZeroDivisionError
        Customer.objects.create(name="a")
    assert Request.objects.get().metadata == {"reason": "typo"}


@pytest.mark.django_db(transaction=True)
def test_annotating_outside_of_any_context_is_told_and_fails_nothing(caplog):
    pubsubpull.annotate(reason="typo")
    assert "annotate() outside of any request" in caplog.text
    assert contexts.current() is None
