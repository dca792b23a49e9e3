"""The changes in the log for every way of writing a row."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection, connections, transaction

import pubsubpull
from pubsubpull.capture import syncing
from pubsubpull.log.models import Change
from tests import roles
from tests.shop.models import (
    Account,
    Customer,
    Event,
    Order,
    PaidOrder,
    Place,
    Quoted,
    Restaurant,
    Secret,
    Stock,
    Tag,
)

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement, params=None, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(statement, params)


def log(model=None, using="default"):
    """Return (op, key, old, new) of each change, in order."""
    changes = Change.objects.using(using).filter(**({"model": model} if model else {}))
    return [(c.op, c.key, c.old, c.new) for c in changes]


def ops(model=None):
    return [(op, key) for op, key, _, _ in log(model)]


def test_insert_update_and_delete_carry_the_whole_row_before_and_after():
    customer = Customer.objects.create(name="Ann", email="a@x.org")
    customer.email = "b@x.org"
    customer.save()
    key = str(customer.pk)
    customer.delete()
    first = {"id": int(key), "name": "Ann", "email": "a@x.org"}
    second = {**first, "email": "b@x.org"}
    assert log("shop.customer") == [
        ("I", key, None, first),
        ("U", key, first, second),
        ("D", key, second, None),
    ]


def test_bulk_writes_are_one_change_a_row():
    Customer.objects.bulk_create(Customer(name=str(n)) for n in range(50))
    Customer.objects.update(email="all@x.org")
    Customer.objects.filter(name__lt="3").delete()
    kinds = [op for op, _ in ops()]
    assert [kinds.count(op) for op in "IUD"] == [50, 50, 50 - Customer.objects.count()]


def test_a_statement_that_touches_no_row_writes_nothing():
    Customer.objects.filter(pk=0).update(name="nobody")
    Customer.objects.filter(pk=0).delete()
    run("INSERT INTO shop_customer (name, email) SELECT 'a', 'b' WHERE false")
    assert log() == []


def test_an_update_that_changes_nothing_writes_nothing():
    Customer.objects.bulk_create([Customer(name="a"), Customer(name="b")])
    run("TRUNCATE pubsubpull_change")
    Customer.objects.filter(name="a").update(name="a")
    Customer.objects.update(email="")
    assert log() == []


def test_an_update_of_some_rows_among_many_logs_only_those():
    Customer.objects.bulk_create([Customer(name="a"), Customer(name="b"), Customer(name="b")])
    run("TRUNCATE pubsubpull_change")
    Customer.objects.update(name="b")
    assert [(op, old["name"], new["name"]) for op, _, old, new in log()] == [("U", "a", "b")]


def test_a_change_of_a_numbers_scale_is_a_change():
    run("CREATE TABLE shop_scale (id int PRIMARY KEY, n numeric)")
    run("INSERT INTO shop_scale VALUES (1, 1.0)")
    before, after = "SELECT to_jsonb(s) FROM shop_scale s", 'SELECT \'{"id": 1, "n": 1.00}\'::jsonb'
    run(f"SELECT pubsubpull_log_row('x', '{{id}}', '{{}}', '{{}}', ({before}), ({after}))")
    run("DROP TABLE shop_scale")
    assert ops("x") == [("U", "1")]


def test_excluded_columns_never_reach_the_log_and_masked_ones_as_a_constant():
    order = Order.objects.create(internal_note="hidden", card="4111")
    Order.objects.bulk_create([Order(internal_note="hidden", card="4111"), Order(internal_note="hidden", card="4111")])
    Order.objects.filter(pk=order.pk).update(status="paid", card="4222", internal_note="hidden too")
    Order.objects.update(status="sent", card="4333", internal_note="hidden more")
    Order.objects.filter(pk=order.pk).delete()
    Order.objects.all().delete()
    run("INSERT INTO shop_order SELECT FROM shop_order WHERE false")
    images = [image for _, _, old, new in log("shop.order") for image in (old, new) if image]
    assert len(images) == 3 + 2 + 6 + 3
    assert not any("internal_note" in image for image in images)
    assert {image["card"] for image in images} == {"***"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pubsubpull_change WHERE (old, new)::text ~ '\\yhidden|\\y4[123]{3}\\y'")
        assert cursor.fetchone() == (0,)


def test_a_change_of_excluded_columns_only_writes_nothing_and_of_masked_ones_only_a_change():
    one, two = Order.objects.create(), Order.objects.create()
    run("TRUNCATE pubsubpull_change")
    Order.objects.filter(pk=one.pk).update(internal_note="x")
    Order.objects.update(internal_note="y")
    assert log() == []
    Order.objects.filter(pk=one.pk).update(card="1")
    Order.objects.update(card="2")
    assert sorted(ops()) == sorted([("U", str(one.pk)), ("U", str(one.pk)), ("U", str(two.pk))])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_moved_key_is_a_delete_of_the_old_and_an_insert_of_the_new(rows):
    Stock.objects.bulk_create(Stock(warehouse="w", article=n, amount=n) for n in range(rows))
    run("TRUNCATE pubsubpull_change")
    run("UPDATE shop_stock SET article = article + 100")
    changes = {(op, key): (old, new) for op, key, old, new in log()}
    assert set(changes) == {("D", f'["w", {n}]') for n in range(rows)} | {
        ("I", f'["w", {n + 100}]') for n in range(rows)
    }
    assert changes["D", '["w", 0]'] == ({"warehouse": "w", "article": 0, "amount": 0}, None)
    assert changes["I", '["w", 100]'] == (None, {"warehouse": "w", "article": 100, "amount": 0})


def test_keys_that_shift_onto_each_other_end_with_the_rows_that_are_there():
    Stock.objects.bulk_create(Stock(warehouse="w", article=n, amount=n) for n in range(3))
    run("TRUNCATE pubsubpull_change")
    run("ALTER TABLE shop_stock DROP CONSTRAINT shop_stock_pkey")
    try:
        run("UPDATE shop_stock SET article = article + 1")
    finally:
        run("ALTER TABLE shop_stock ADD PRIMARY KEY (warehouse, article)")
    state = {key: new and new["amount"] for _, key, _, new in log()}
    assert state == {'["w", 0]': None, '["w", 1]': 0, '["w", 2]': 1, '["w", 3]': 2}


def test_truncate_is_one_change_for_the_table():
    Customer.objects.create(name="a")
    run("TRUNCATE shop_customer CASCADE")
    assert ("T", None, None, None) in log("shop.customer")
    assert ops("shop.order") == [("T", None)]


def test_raw_sql_copy_on_conflict_and_a_writing_cte_are_captured():
    with connection.cursor() as cursor, cursor.copy("COPY shop_customer (name, email) FROM STDIN") as copy:
        copy.write_row(("copied", ""))
        copy.write_row(("copied too", ""))
    run(
        "INSERT INTO shop_customer (id, name, email) SELECT id, name, 'again' FROM shop_customer "
        "UNION ALL SELECT 9000, 'new', '' ON CONFLICT (id) DO UPDATE SET email = excluded.email"
    )
    run("WITH gone AS (DELETE FROM shop_customer WHERE id = 9000 RETURNING *) SELECT * FROM gone")
    assert sorted(op for op, _ in ops()) == ["D", "I", "I", "I", "U", "U"]


def test_a_foreign_keys_cascade_is_captured():
    run("ALTER TABLE shop_order DROP CONSTRAINT IF EXISTS cascade")
    run(
        "ALTER TABLE shop_order ADD CONSTRAINT cascade FOREIGN KEY (customer_id) REFERENCES shop_customer (id) "
        "ON DELETE CASCADE"
    )
    try:
        customer = Customer.objects.create(name="a")
        Order.objects.bulk_create([Order(customer=customer), Order(customer=customer)])
        run("DELETE FROM shop_customer")
    finally:
        run("ALTER TABLE shop_order DROP CONSTRAINT cascade")
    assert [op for op, _ in ops("shop.order")] == ["I", "I", "D", "D"]


def test_a_rollback_leaves_nothing_and_a_savepoint_only_its_own_changes():
    with transaction.atomic():
        Customer.objects.create(name="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Customer.objects.create(name="lost")
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Customer.objects.create(name="lost too")
        raise ZeroDivisionError
    assert [new["name"] for _, _, _, new in log()] == ["kept"]


def test_select_for_update_writes_nothing():
    Customer.objects.create(name="a")
    run("TRUNCATE pubsubpull_change")
    with transaction.atomic():
        list(Customer.objects.select_for_update())
    assert log() == []


def test_each_table_of_an_inherited_model_has_its_own_changes():
    restaurant = Restaurant.objects.create(name="r", seats=3)
    restaurant.seats = 4
    restaurant.save()
    assert ops("shop.place") == [("I", str(restaurant.pk))]
    assert [new for *_, new in log("shop.restaurant")] == [
        {"place_ptr_id": restaurant.pk, "seats": 3},
        {"place_ptr_id": restaurant.pk, "seats": 4},
    ]
    Place.objects.filter(pk=restaurant.pk).update(name="s")
    assert ops("shop.place")[-1] == ("U", str(restaurant.pk))


def test_a_proxys_changes_are_its_models():
    PaidOrder.objects.create(status="paid")
    assert [op for op, _ in ops("shop.order")] == ["I"]


def test_many_to_many_rows_are_captured_where_their_table_is_published():
    order, tag = Order.objects.create(), Tag.objects.create(name="t")
    order.tags.add(tag)
    order.tags.clear()
    assert [op for op, _ in ops("shop.order_tags")] == ["I", "D"]
    assert log("shop.tag") == []


def test_names_that_need_quotes_are_captured():
    row = Quoted.objects.create(value="100 %")
    Quoted.objects.update(value="%s")
    assert [(key, new) for _, key, _, new in log("shop.quoted")] == [
        (str(row.pk), {"The Id": row.pk, "it's The Value": "100 %"}),
        (str(row.pk), {"The Id": row.pk, "it's The Value": "%s"}),
    ]


def test_a_partitioned_table_is_captured_through_the_parent_and_through_a_partition():
    Event.objects.create(region="north", number=1)
    run("INSERT INTO shop_event_rest VALUES ('south', 2, '')")
    run("UPDATE shop_event_rest SET text = 'x'")
    run("UPDATE shop_event SET region = 'east' WHERE region = 'north'")
    run("TRUNCATE shop_event_rest")
    assert sorted(ops("shop.event")[:3]) == [("I", '["north", 1]'), ("I", '["south", 2]'), ("U", '["south", 2]')]
    assert sorted(ops("shop.event")[3:]) == sorted(
        [("D", '["north", 1]'), ("I", '["east", 1]'), ("D", '["east", 1]'), ("D", '["south", 2]')]
    )
    run("TRUNCATE shop_event")
    assert ops("shop.event")[-1] == ("T", None)


def test_an_unpublished_model_leaves_no_trace():
    Secret.objects.create(text="s")
    assert log() == []


@pytest.mark.django_db(transaction=True, databases=["default", "second"])
def test_each_database_has_its_own_log():
    run("TRUNCATE pubsubpull_change", using="second")
    Customer.objects.using("second").create(name="there")
    assert log() == []
    assert [new["name"] for *_, new in log(using="second")] == ["there"]


def test_a_row_trigger_of_the_user_that_updates_the_same_row_comes_after_the_insert():
    account = Account.objects.create(owner="me")
    Account.objects.bulk_create([Account(owner="a"), Account(owner="b")])
    state = {key: new for _, key, _, new in log("shop.account")}
    assert state == {str(row["id"]): row for row in Account.objects.values()}
    assert state[str(account.pk)]["number"] == f"A{account.pk}"


SIBLINGS = """
CREATE FUNCTION shop_one_main() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.owner = 'gone' THEN
        DELETE FROM shop_account WHERE id > new.id;
    ELSE
        UPDATE shop_account SET owner = owner || new.id WHERE id <> new.id AND owner LIKE 'main%';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER one_main AFTER INSERT OR UPDATE ON shop_account FOR EACH ROW
WHEN (new.owner IN ('main', 'gone')) EXECUTE FUNCTION shop_one_main()
"""


def replayed(model):
    """Return the final state of a follower of the log: the row of each present key."""
    state = {key: new for _, key, _, new in log(model)}
    return {key: row for key, row in state.items() if row}


@pytest.mark.parametrize("before", ["", "begun", "same"])
@pytest.mark.parametrize("owner", ["main", "gone"])
def test_a_row_trigger_that_writes_other_rows_of_its_statement_leaves_the_log_in_order(owner, before):
    Account.objects.bulk_create([Account(owner=name) for name in "abc"])
    run(SIBLINGS)
    try:
        with transaction.atomic():
            if before:  # the transaction has such changes already, which a later statement must not be mixed with
                run("UPDATE shop_account SET owner = %s", ["main" if before == "same" else "x"])
                run("UPDATE shop_account SET owner = 'y'")
            run("UPDATE shop_account SET owner = %s", [owner])
            run("INSERT INTO shop_account (owner, number) VALUES (%s, ''), (%s, '')", [owner, owner])
    finally:
        run("DROP FUNCTION shop_one_main() CASCADE")
    assert replayed("shop.account") == {str(row["id"]): row for row in Account.objects.values()}
    for key in {key for _, key in ops("shop.account")}:
        states = [(old, new) for _, k, old, new in log("shop.account") if k == key]
        assert [old for old, _ in states[1:]] == [new for _, new in states[:-1]], "each begins where the last one ended"


def test_keys_that_change_places_end_with_the_rows_that_are_there_at_the_level_of_rows_too():
    pubsubpull.publish(Stock, level="row")
    syncing.sync()
    Stock.objects.bulk_create(Stock(warehouse="w", article=n, amount=n) for n in range(4))
    run("ALTER TABLE shop_stock DROP CONSTRAINT shop_stock_pkey")
    try:
        run("UPDATE shop_stock SET article = 3 - article")
    finally:
        run("ALTER TABLE shop_stock ADD PRIMARY KEY (warehouse, article)")
        pubsubpull.publish(Stock)
        syncing.sync()
    rows = {f'["w", {row["article"]}]': row for row in Stock.objects.values("warehouse", "article", "amount")}
    assert replayed("shop.stock") == rows


@pytest.mark.parametrize("level", ["statement", "row"])
def test_columns_may_be_called_as_anything_in_the_capture_functions(level):
    names = ("n", "o", "r", "c", "j", "key", "label", "columns", "request", "before", "after", "affected", "new", "old")
    pubsubpull.publish(Customer, level=level)
    syncing.sync()
    run("ALTER TABLE shop_customer " + ", ".join(f'ADD COLUMN "{name}" integer DEFAULT 1' for name in names))
    try:
        one, *_ = Customer.objects.bulk_create([Customer(name="a"), Customer(name="b")])
        Customer.objects.filter(pk=one.pk).update(name="c")
        Customer.objects.update(name="d")
        Customer.objects.all().delete()
    finally:
        run("ALTER TABLE shop_customer " + ", ".join(f'DROP COLUMN "{name}"' for name in names))
        pubsubpull.publish(Customer)
        syncing.sync()
    found = log("shop.customer")
    assert [op for op, *_ in found] == ["I", "I", "U", "U", "U", "D", "D"]
    for _, key, old, new in found:
        row = new or old
        assert (str(row["id"]), {row[name] for name in names}) == (key, {1})


def test_an_altered_table_goes_on_being_written_and_captured():
    run("ALTER TABLE shop_customer ADD COLUMN extra text DEFAULT 'e'")
    try:
        customer = Customer.objects.create(name="a")
        run("ALTER TABLE shop_customer RENAME COLUMN extra TO more")
        Customer.objects.update(name="b")
        run("ALTER TABLE shop_customer ALTER COLUMN more DROP DEFAULT")
        run("ALTER TABLE shop_customer ALTER COLUMN more TYPE jsonb USING to_jsonb(more)")
        Customer.objects.update(name="c")
    finally:
        run("ALTER TABLE shop_customer DROP COLUMN IF EXISTS extra, DROP COLUMN IF EXISTS more")
    Customer.objects.update(name="d")
    base = {"id": customer.pk, "email": ""}
    assert [new for *_, new in log()] == [
        {**base, "name": "a", "extra": "e"},
        {**base, "name": "b", "more": "e"},
        {**base, "name": "c", "more": "e"},
        {**base, "name": "d"},
    ]


def test_values_have_the_same_text_whatever_the_session_is_set_to():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=datetime.UTC)
    run("SET TIME ZONE 'Asia/Tokyo'")
    run("SET DateStyle = 'SQL, DMY'")
    try:
        Order.objects.create(placed=moment)
    finally:
        run("RESET ALL")
        connection.close()
    assert log("shop.order")[0][3]["placed"] == "2026-01-02T03:04:05.6+00:00"


def test_the_applications_role_needs_no_right_on_the_log():
    role = roles.own("shop_app")
    run(f"CREATE ROLE {role}")
    run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON shop_customer TO {role}")
    run(f"GRANT USAGE ON SEQUENCE shop_customer_id_seq TO {role}")
    try:
        with transaction.atomic():
            run(f"SET LOCAL ROLE {role}")
            Customer.objects.create(name="a")
            Customer.objects.update(name="b")
            run("DELETE FROM shop_customer")
            with pytest.raises(Exception, match="permission denied"), transaction.atomic():
                run("DELETE FROM pubsubpull_change")
            with pytest.raises(Exception, match="permission denied"), transaction.atomic():
                run("SELECT pubsubpull_log_row('x', '{id}', '{}', '{}', NULL, '{\"id\": 1}')")
    finally:
        run(f"DROP OWNED BY {role}")
        run(f"DROP ROLE {role}")
    assert [op for op, _ in ops()] == ["I", "U", "D"]


def test_temporary_objects_cannot_get_in_the_way_of_the_capture_functions():
    with transaction.atomic():
        run("CREATE TEMPORARY TABLE pubsubpull_change (LIKE pubsubpull_change) ON COMMIT DROP")
        Customer.objects.create(name="a")
    assert [op for op, _ in ops()] == ["I"]
