"""History, earlier states and restoring, in code."""

from __future__ import annotations

import datetime
import functools
import json
import threading
import uuid

import pytest
from django.db import connection, connections, transaction
from psycopg import sql as psql

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.history import history as histories
from pubsubpull.audit.history import moments as moments_
from pubsubpull.audit.history import restore as restoring
from pubsubpull.capture import sql, texts
from pubsubpull.log import spans
from pubsubpull.log.models import Change
from tests.shop.models import Customer, Order, PaidOrder, Quoted, Secret, Stock

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.UTC


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else None


def now():
    return run("SELECT clock_timestamp()")[0][0]


def test_the_history_of_an_object_is_newest_first_with_values_and_users():
    customer = Customer.objects.create(name="a")
    with pubsubpull.context(user="ann") as made:
        Customer.objects.filter(pk=customer.pk).update(name="b")
    Customer.objects.create(name="another")
    latest, first = pubsubpull.history(customer)
    assert (latest.op, latest.changed, latest.user, latest.request_id) == (
        "update",
        {"name": ("a", "b")},
        "ann",
        made.id,
    )
    assert latest.request["source"] == "command"
    assert (first.op, first.changed["name"], first.user, first.request) == ("insert", (None, "a"), None, None)
    assert first.version < latest.version
    assert first.at < latest.at


def test_the_history_of_a_key_that_no_longer_exists_ends_with_its_deletion():
    customer = Customer.objects.create(name="a")
    key = customer.pk
    customer.delete()
    assert [entry.op for entry in pubsubpull.history(Customer, key)] == ["delete", "insert"]
    assert [entry.op for entry in pubsubpull.history("shop.Customer", str(key))] == ["delete", "insert"]


def test_a_truncate_is_in_the_history_of_each_object_that_it_took():
    kept = Customer.objects.create(name="a")
    run("TRUNCATE shop_customer CASCADE")
    later = Customer.objects.create(name="b")
    assert [entry.op for entry in pubsubpull.history(Customer, kept.pk)] == ["truncate", "insert"]
    assert [entry.op for entry in pubsubpull.history(later)] == ["insert"]


def test_a_composite_key_and_a_proxy_have_the_history_of_their_rows():
    stock = Stock.objects.create(warehouse="Köln", article=7)
    order = Order.objects.create(reference="r")
    assert [entry.key for entry in pubsubpull.history(stock)] == ['["Köln", 7]']
    assert [entry.model for entry in pubsubpull.history(PaidOrder(pk=order.pk))] == ["shop.order"]


def test_history_comes_a_page_at_a_time_without_gap_or_double():
    customer = Customer.objects.create(name="0")
    for name in "123456":
        Customer.objects.filter(pk=customer.pk).update(name=name)
    seen, before = [], None
    while True:
        page = pubsubpull.history(customer, before=before, limit=3)
        seen += [entry.new["name"] for entry in page]
        before = page.next
        if before is None:
            break
    assert seen == list("6543210")


def test_a_page_looks_at_a_bounded_number_of_changes_and_says_where_to_go_on():
    little = histories.Effort(changes=5, seconds=0)
    Quoted.objects.create(value="rare")
    for name in "abcdefgh":
        Customer.objects.create(name=name)
    page = pubsubpull.history(models=[Quoted], limit=2, effort=little)
    assert len(page) == 0
    assert page.next is not None
    further = pubsubpull.history(models=[Quoted], limit=2, before=page.next, effort=little)
    assert [entry.model for entry in further] == ["shop.quoted"]


def test_a_page_looks_further_back_until_it_is_full_or_all_was_looked_at():
    patient = histories.Effort(changes=1, seconds=60)
    column = Quoted._meta.get_field("value").column
    for number in range(12):
        Quoted.objects.create(value=str(number))
        Customer.objects.create(name="between")
    seen, before = [], None
    while before is not None or not seen:
        page = pubsubpull.history(models=[Quoted], limit=5, before=before, effort=patient)
        seen.append([entry.new[column] for entry in page])
        before = page.next
    assert seen == [["11", "10", "9", "8", "7"], ["6", "5", "4", "3", "2"], ["1", "0"]]


@pytest.mark.parametrize("limit", [20, 700])
def test_a_persons_history_has_all_of_a_request_that_made_more_than_a_page_looks_at(limit):
    effort = histories.Effort(changes=100)
    with pubsubpull.context(user="ann"):
        Customer.objects.create(name="before")
    with pubsubpull.context(user="ann"), transaction.atomic():
        Customer.objects.bulk_create(Customer(name=str(number)) for number in range(350))
    seen, before = [], None
    while True:
        page = pubsubpull.history(user="ann", before=before, limit=limit, effort=effort)
        seen += [entry.version for entry in page]
        before = page.next
        if before is None:
            break
    assert seen == sorted(Change.objects.values_list("id", flat=True), reverse=True)


def test_a_span_may_begin_or_end_with_the_dates_themselves():
    with pubsubpull.context(user="ann"):
        customer = Customer.objects.create(name="a")
    first, last = datetime.datetime.min.replace(tzinfo=NOW), datetime.datetime.max.replace(tzinfo=NOW)
    assert len(pubsubpull.history(since=first, until=last)) == 1
    assert len(pubsubpull.history(user="ann", since=first, until=last)) == 1
    assert len(pubsubpull.history(since=last)) == len(pubsubpull.history(until=first)) == 0
    assert pubsubpull.as_of(Customer, customer.pk, last).data["name"] == "a"


def test_a_page_of_nothing_is_refused():
    with pytest.raises(exceptions.HistoryError, match="limit: give 1 or more"):
        pubsubpull.history(limit=0)


def test_a_persons_changes_come_by_request_the_latest_first_page_by_page():
    for number in range(3):
        with pubsubpull.context(user="ann"):
            Customer.objects.create(name=f"{number}a")
            Customer.objects.create(name=f"{number}b")
        with pubsubpull.context(user="ben"):
            Customer.objects.create(name="other")
    seen, before = [], None
    while True:
        page = pubsubpull.history(user="ann", before=before, limit=2)
        seen += [entry.new["name"] for entry in page]
        before = page.next
        if before is None:
            break
    assert seen == ["2b", "2a", "1b", "1a", "0b", "0a"]


def test_all_that_a_request_changed_over_several_transactions():
    with pubsubpull.context(user="ann") as made:
        customer = Customer.objects.create(name="a")
        Order.objects.create(customer=customer)
    Customer.objects.create(name="b")
    assert [entry.model for entry in pubsubpull.history(request=made.id)] == ["shop.order", "shop.customer"]
    assert [entry.model for entry in pubsubpull.history(request=str(made.id), models=["shop.Order"])] == ["shop.order"]
    assert len(pubsubpull.history(user="ann")) == 2


def test_history_by_models_span_column_and_path():
    customer = Customer.objects.create(name="a")
    middle = now()
    Customer.objects.filter(pk=customer.pk).update(name="b")
    Customer.objects.filter(pk=customer.pk).update(email="e")
    end = now()
    Order.objects.create()

    def ops(**asked):
        return [entry.op for entry in pubsubpull.history(**asked)]

    assert ops(models=[Customer], since=middle) == ["update", "update"]
    assert ops(until=middle) == ["insert"]
    assert ops(since=middle, until=end) == ["update", "update"]
    assert [sorted(e.changed) for e in pubsubpull.history(customer, column="email")] == [
        ["email"],
        ["email", "id", "name"],
    ]
    assert ops(path="/none/") == []
    assert ops(until=middle - datetime.timedelta(days=1)) == []


def test_without_time_zones_the_times_of_histories_are_those_of_the_project(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "America/Chicago"
    connection.close()  # how times are read is decided as it is opened
    order = Order.objects.create(reference="a")
    (made,) = pubsubpull.history(order)
    assert made.at.tzinfo is None
    order.reference = "b"
    order.save()
    assert pubsubpull.as_of(Order, order.pk, made.at).data["reference"] == "a"
    later = made.at + datetime.timedelta(hours=2)
    assert len(pubsubpull.history(order, since=made.at - datetime.timedelta(hours=2), until=later)) == 2
    connection.close()


def test_an_unknown_filter_is_refused_by_name():
    for asked, words in [
        ({"since": now().replace(tzinfo=None)}, "since: give a datetime with a time zone"),
        ({"request": "x"}, "request: give a UUID"),
    ]:
        with pytest.raises(exceptions.HistoryError, match=words):
            pubsubpull.history(**asked)
    with pytest.raises(exceptions.HistoryError, match="Name an object"):
        pubsubpull.history(Customer)


def test_an_object_as_it_was_at_a_moment():
    before = now()
    customer = Customer.objects.create(name="a")
    first = now()
    Customer.objects.filter(pk=customer.pk).update(name="b")
    second = now()
    key = customer.pk
    customer.delete()
    assert pubsubpull.as_of(Customer, key, before) is None
    assert pubsubpull.as_of(Customer, key, first).data["name"] == "a"
    assert pubsubpull.as_of(Customer, key, second).data["name"] == "b"
    assert pubsubpull.as_of(Customer, key, now()) is None


def test_as_of_before_the_first_change_is_the_row_before_that_change():
    customer = Customer.objects.create(name="a")
    run("TRUNCATE pubsubpull_change")
    before = now()
    with pytest.raises(exceptions.HistoryError, match="The log has no change of shop.customer"):
        pubsubpull.as_of(Customer, customer.pk, before)
    Customer.objects.filter(pk=customer.pk).update(name="b")
    assert pubsubpull.as_of(Customer, customer.pk, before) == moments_.State(
        version=0, data={"id": customer.pk, "name": "a", "email": ""}
    )


def test_as_of_after_a_truncate_nothing_is_there():
    customer = Customer.objects.create(name="a")
    there = now()
    run("TRUNCATE shop_customer CASCADE")
    assert pubsubpull.as_of(Customer, customer.pk, now()) is None
    assert pubsubpull.as_of(Customer, customer.pk, there).data["name"] == "a"


def test_restoring_writes_an_earlier_state_as_an_ordinary_change_of_its_user():
    order = Order.objects.create(reference="a", total="1.10", placed=now(), internal_note="n", card="4711")
    placed = order.placed
    first = pubsubpull.history(order)[0].version
    Order.objects.filter(pk=order.pk).update(reference="b", total="2.20", placed=None, internal_note="m", card="4712")
    with pubsubpull.context(user="ann"):
        pubsubpull.restore(order, first)
    order.refresh_from_db()
    assert (order.reference, str(order.total), order.placed) == ("a", "1.10", placed)
    assert (order.internal_note, order.card) == ("m", "4712"), "what the log does not know stays"
    latest = pubsubpull.history(order)[0]
    assert (latest.op, latest.user) == ("update", "ann")


def test_restoring_brings_a_deleted_row_back_under_its_key():
    customer = Customer.objects.create(name="a", email="e")
    key = customer.pk
    first = pubsubpull.history(customer)[0].version
    customer.delete()
    pubsubpull.restore(Customer, key, first)
    assert Customer.objects.values_list("pk", "name", "email").get() == (key, "a", "e")


def test_restoring_a_composite_key_and_quoted_names():
    stock = Stock.objects.create(warehouse="w", article=1, amount=5)
    quoted = Quoted.objects.create(value="a")
    versions = [pubsubpull.history(row)[0].version for row in (stock, quoted)]
    Stock.objects.update(amount=6)
    quoted_key = quoted.pk
    quoted.delete()
    pubsubpull.restore(stock, versions[0])
    pubsubpull.restore(Quoted, quoted_key, versions[1])
    assert Stock.objects.get().amount == 5
    assert Quoted.objects.get(pk=quoted_key).value == "a"


def test_a_deleted_row_with_columns_that_the_log_does_not_know_needs_them_given():
    order = Order.objects.create(reference="a")
    key, first = order.pk, pubsubpull.history(order)[0].version
    order.delete()
    with pytest.raises(exceptions.RestoreError, match="internal_note, card") as caught:
        pubsubpull.restore(Order, key, first)
    assert caught.value.columns == ("internal_note", "card")
    assert not Order.objects.exists()
    pubsubpull.restore(Order, key, first, values={"internal_note": "n", "card": "c"})
    assert Order.objects.values_list("reference", "internal_note", "card").get() == ("a", "n", "c")


def test_a_column_that_has_gone_is_named():
    customer = Customer.objects.create(name="a")
    first = pubsubpull.history(customer)[0].version
    run("UPDATE pubsubpull_change SET new = new || %s WHERE id = %s", [json.dumps({"nick": "x"}), first])
    with pytest.raises(exceptions.RestoreError, match="no longer has the columns nick"):
        pubsubpull.restore(customer, first)


def test_a_constraint_that_forbids_it_is_told_without_the_rows_values():
    customer = Customer.objects.create(name="a")
    order = Order.objects.create(customer=customer)
    first = pubsubpull.history(order)[0].version
    Order.objects.update(customer=None)
    customer.delete()
    with pytest.raises(exceptions.RestoreError, match="violates foreign key constraint") as caught:
        pubsubpull.restore(order, first)
    assert caught.value.columns == ()
    assert Order.objects.get().customer_id is None


def test_a_version_that_is_no_state_is_refused():
    customer = Customer.objects.create(name="a")
    other = Customer.objects.create(name="b")
    key = customer.pk
    customer.delete()
    deleted = pubsubpull.history(Customer, key)[0].version
    with pytest.raises(exceptions.RestoreError, match="has no row at version .* was deleted"):
        pubsubpull.restore(Customer, key, deleted)
    with pytest.raises(exceptions.RestoreError, match="has no version"):
        pubsubpull.restore(other, deleted)
    with pytest.raises(exceptions.HistoryError, match="shop.secret is not published"):
        pubsubpull.restore(Secret, 1, 1)


def test_restoring_waits_for_a_writer_and_then_sees_that_the_object_has_changed():
    customer = Customer.objects.create(name="a")
    first = pubsubpull.history(customer)[0].version
    outcome, pid = [], []

    def restore():
        try:
            pid.append(run("SELECT pg_backend_pid()")[0][0])
            pubsubpull.restore(customer, first, latest=first)
        except exceptions.RestoreError as error:
            outcome.append(str(error))
        finally:
            connections.close_all()

    thread = threading.Thread(target=restore)
    with transaction.atomic():
        Customer.objects.filter(pk=customer.pk).update(name="b")
        thread.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        deadline = now() + datetime.timedelta(seconds=60)
        while not (pid and run("SELECT pg_stat_clear_snapshot()") and run(waits, pid)[0][0]):
            assert now() < deadline
    thread.join(20)
    assert outcome == [f"shop.customer {customer.pk} has changed since: look at it again."]
    assert Customer.objects.get().name == "b"


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.fixture
def _large_log():
    """Twenty thousand changes of as many requests by fifty people, with statistics."""
    run(
        "INSERT INTO pubsubpull_request (id, user_id, source, started) SELECT md5(n::text)::uuid, (n % 50)::text, "
        "'http', now() - n * interval '1 min' FROM generate_series(1, 20000) n"
    )
    run(
        "INSERT INTO pubsubpull_change (model, op, key, request_id, new) SELECT 'shop.customer', 'I', n::text, "
        "md5((n % 20000 + 1)::text)::uuid, '{}' FROM generate_series(1, 20000) n"
    )
    run("ANALYZE pubsubpull_change, pubsubpull_request")


@pytest.mark.usefixtures("_large_log")
@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("object", {"model": "shop.customer", "key": "77"}),
        ("request", {"request": uuid.UUID("c4ca4238a0b923820dcc509a6f75849b")}),
        ("user", {"user": "7", "started": "infinity"}),
        ("log", {"floor": 0, "since": None, "until": None}),
    ],
)
def test_each_history_is_read_by_an_index_and_no_more_of_it_than_a_page_needs(kind, parts):
    asked = dict.fromkeys(["models", "since", "until", "user", "column", "path"])
    query = histories.query_of(kind, asked, before=spans.LATEST, limit=20, most=10_000, **parts)
    ((plan,),) = run("EXPLAIN (ANALYZE, FORMAT json) " + query.as_string())
    for node in nodes(plan[0]["Plan"]):
        if not node["Actual Loops"]:  # it was never needed
            continue
        name = node.get("Relation Name", "")
        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        # A partition that is empty, as other tests may leave one, is read by no index.
        assert not (node["Node Type"] == "Seq Scan" and name.startswith("pubsubpull_change") and looked_at), node
        assert not (node["Node Type"] == "Seq Scan" and name == "pubsubpull_request"), node
        assert not (name == "pubsubpull_request" and node["Actual Rows"] > 60), node
        assert not (node["Node Type"] == "Sort" and node["Actual Rows"] > 40), node


def test_a_page_of_a_span_is_not_filled_by_changes_made_right_after_it():
    effort = histories.Effort(seconds=0)
    moment = now()
    run(
        "INSERT INTO pubsubpull_change (at, model, op, key, new) SELECT %s + (n - 5) * interval '10 ms', "
        "'shop.customer', 'I', n::text, '{}' FROM generate_series(1, %s) n",
        [moment, effort.changes + 100],
    )
    page = pubsubpull.history(until=moment, models=[Customer], effort=effort)
    assert [entry.key for entry in page.entries] == ["4", "3", "2", "1"]


SHAPES = {
    "even": ("n * interval '1 min'", 4),
    "bursts": ("n / 4000 * interval '3 days' + n % 4000 * interval '1 ms'", 26),
    "standstill": ("CASE WHEN n > 10000 THEN interval '900 days' ELSE interval '0' END + n * interval '1 s'", 26),
    "waning": ("exp(n / 1000.0) * interval '1 ms'", 16),
}
"""How long ago the change before n others was, and how many looks a moment takes at most."""


@pytest.mark.usefixtures("_large_log")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_moment_is_found_by_few_looks_at_the_primary_key_however_changes_are_spread_over_time(shape):
    ago, looks = SHAPES[shape]
    first, last = run("SELECT min(id), max(id) FROM pubsubpull_change")[0]
    run(f"UPDATE pubsubpull_change SET at = now() - ({ago})".replace("n ", f"({last} - id) "))
    (first_at, last_at) = run("SELECT min(at), max(at) FROM pubsubpull_change")[0]
    ends = {"low": first, "high": last + 1, "low_at": first_at, "high_at": last_at}
    for share in (0, 0.001, 0.1, 0.5, 0.77, 0.999, 1, 2):
        moment = first_at + (last_at - first_at) * share
        query = sql.compose("queries/feed/id_at", moment=moment, near=spans.NEAR, **ends)
        ((low, high, steps),) = sql.run("default", query)
        assert run("SELECT coalesce(max(at) < %s, true) FROM pubsubpull_change WHERE id < %s", [moment, low])[0][0]
        assert run("SELECT coalesce(min(at) >= %s, true) FROM pubsubpull_change WHERE id >= %s", [moment, high])[0][0]
        assert high - low < spans.NEAR
        assert steps <= looks
    ((plan,),) = run("EXPLAIN (ANALYZE, FORMAT json) " + query.as_string())
    assert max(node["Actual Loops"] for node in nodes(plan[0]["Plan"])) <= looks
    assert max(node["Actual Rows"] for node in nodes(plan[0]["Plan"])) <= looks + 1


@pytest.mark.usefixtures("_large_log")
def test_a_span_has_all_that_was_made_in_it():
    last = run("SELECT max(id) FROM pubsubpull_change")[0][0]
    run("UPDATE pubsubpull_change SET at = now() - (%s - id) * interval '1 min'", [last])
    since, until = now() - datetime.timedelta(hours=50), now() - datetime.timedelta(hours=40)
    floor, ceiling = spans.bounds(since, until, "default")
    assert last - 52 * 60 - spans.NEAR < floor < last - 50 * 60
    assert last - 40 * 60 < ceiling < last - 38 * 60 + spans.NEAR
    inside = Change.objects.filter(at__gte=since, at__lt=until).count()
    assert len(pubsubpull.history(since=since, until=until, limit=5000)) == inside


def test_numbers_keep_each_digit_in_history_and_when_restored():
    order = Order.objects.create(total="9999999999.10")
    first = pubsubpull.history(order)[0]
    assert str(first.new["total"]) == "9999999999.10"
    Order.objects.update(total=0)
    assert str(restoring.preview(Order, order.pk, first.version).changes()["total"][1]) == "9999999999.10"
    pubsubpull.restore(order, first.version)
    assert str(Order.objects.get().total) == "9999999999.10"


@pytest.mark.parametrize("file", ["queries/history/as_of", "queries/history/page", "queries/history/trail"])
def test_truncates_are_looked_for_by_the_index_of_keys_and_not_along_the_log(file):
    """Where most of the log is of one object, ids look like the way to find its few truncates: all would be read."""
    run(
        "INSERT INTO pubsubpull_change (model, op, key, old, new) SELECT 'shop.customer', 'U', '77', "
        "jsonb_build_object('name', n), jsonb_build_object('name', n + 1) FROM generate_series(1, 50000) n"
    )
    run("ANALYZE pubsubpull_change")
    asked = dict.fromkeys(["models", "since", "until", "user", "column", "path"])
    fits = sql.compose("queries/history/fits", hiding=[], **asked)
    request = sql.template("queries/history/request_json").format()
    images = {name: psql.Identifier(name) for name in ("old", "new")}
    images |= {f"c_{name}": psql.Identifier("c", name) for name in ("old", "new")}
    given = {
        "op": texts.op_in_trail(),
        "before": spans.LATEST,
        "limit": 200,
        "size": 1_000_000,
        "first": -spans.LATEST,
        "ceiling": spans.LATEST,
        "moment": now() + datetime.timedelta(days=1),
    }
    whose = {"model": "shop.customer", "key": "77"}
    seen = sql.compose("queries/history/object", fits=fits, most=10_000, events=psql.SQL(""), **given, **whose)
    query = sql.compose(file, seen=seen, most=200, fits=fits, request=request, **images, **given, **whose)
    ((plan,),) = run("EXPLAIN (ANALYZE, FORMAT json) " + query.as_string())
    for node in nodes(plan[0]["Plan"]):
        assert node.get("Rows Removed by Filter", 0) < 1000, node


def test_imported_changes_have_versions_below_0_and_give_states_too():
    customer = Customer.objects.create(name="b")
    moment = now()
    run(
        "UPDATE pubsubpull_change SET id = -5, op = 'U', old = jsonb_build_object('name', 'a'), "
        "new = jsonb_build_object('name', 'b')"
    )
    assert pubsubpull.as_of(Customer, customer.pk, moment).version == -5
    found = pubsubpull.as_of(Customer, customer.pk, moment.replace(year=2001))
    assert (found.version, found.data) == (0, {"name": "a"})


def test_a_moment_far_back_of_an_object_with_many_changes_is_found_by_time_and_is_the_same():
    customer = Customer.objects.create(name="0")
    for name in map(str, range(1, 12)):
        Customer.objects.filter(pk=customer.pk).update(name=name)
    first = Change.objects.order_by("id").first().id
    run("UPDATE pubsubpull_change SET at = now() - (20 - (id - %s)) * interval '1 day'", [first])
    moments = [now() - datetime.timedelta(days=day, hours=1) for day in range(8, 22)]
    expected = [pubsubpull.as_of(Customer, customer.pk, moment) for moment in moments]
    for moment in moments:
        row = functools.partial(moments_.row_as_of, "shop.customer", str(customer.pk), moment, using="default")
        assert row(recent=3) == row()
    assert len({state and state.version for state in expected}) == 13
