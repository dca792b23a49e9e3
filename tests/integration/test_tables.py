"""Tables of every kind: captured right, or named by a check while all others are served."""

from __future__ import annotations

import io
import json
import logging

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.integrity import baseline
from pubsubpull.capture import checks, planning, registry, syncing
from pubsubpull.log import resend
from pubsubpull.models import Change
from pubsubpull.pull import consumers, dump, hashes, instances
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def model(request):
    """Make a model of a table that a test makes, and forget it and its publication; the database is rolled back."""
    before = dict(registry._publications)
    made = []

    def make(name="Odd", *, table="odd", **fields):
        meta = type("Meta", (), {"app_label": "shop", "managed": False, "db_table": table, "apps": connection_apps})
        fields = fields or {"id": models.IntegerField(primary_key=True), "text": models.TextField(null=True)}
        made.append(type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields}))
        return made[-1]

    from django.apps.registry import Apps

    connection_apps = Apps(["tests.shop"])
    yield make
    registry._publications.clear()
    registry._publications.update(before)


def publish(model, **how):
    pubsubpull.publish(model, **how)
    syncing.sync()


def log(label="shop.odd"):
    return [(c.op, c.key, c.old, c.new) for c in Change.objects.filter(model=label)]


def ids(found):
    return [message.id for message in found]


UNSEEN = {
    "a view": "CREATE VIEW odd AS SELECT id, name AS text FROM shop_customer",
    "a materialized view": "CREATE MATERIALIZED VIEW odd AS SELECT id, name AS text FROM shop_customer",
    "a foreign table": (
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; "
        "CREATE FOREIGN TABLE odd (id int, text text) SERVER files OPTIONS (filename '/dev/null')"
    ),
}


@pytest.mark.parametrize("kind", UNSEEN)
def test_columns_no_trigger_sees_are_named_and_all_others_are_captured(model, kind, caplog):
    run(UNSEEN[kind])
    run('DROP TRIGGER "00_pubsubpull_insert" ON shop_place')
    caplog.set_level(logging.WARNING)
    publish(model())
    plan = planning.plan()
    assert plan.actions == ()
    assert plan.refused == {"shop.odd": f"public.odd is {kind}, whose changes no trigger sees"}
    assert f"public.odd is {kind}" in caplog.text
    (warning,) = checks.check_tables(databases=["default"])
    assert warning.id == "pubsubpull.W040"
    assert f"shop.odd is published but not captured in the database default: public.odd is {kind}" in warning.msg
    err = io.StringIO()
    with pytest.raises(CommandError, match="differ from what is published"):
        call_command("pubsubpull_triggers", "--check", stdout=io.StringIO(), stderr=err)
    assert f"shop.odd is published but not captured: public.odd is {kind}" in err.getvalue()
    Customer.objects.create(name="a")
    assert [op for op, *_ in log("shop.customer")] == ["I"]


def test_of_two_models_with_one_table_only_the_first_is_captured_and_the_other_reported(model):
    run("CREATE TABLE odd (id int PRIMARY KEY, text text)")
    publish(model("Odd"))
    publish(model("Other"))
    assert planning.plan().actions == ()
    assert planning.plan().refused == {"shop.other": "another published model has its table public.odd"}
    (error,) = checks.check_shared_tables()
    assert error.id == "pubsubpull.E040"
    assert "shop.other and shop.odd are published with the same table, odd" in error.msg
    run("INSERT INTO odd VALUES (1, 'a')")
    assert [key for _, key, *_ in log()] == ["1"]
    assert log("shop.other") == []


def test_models_with_one_table_in_different_databases_are_no_error(model):
    pubsubpull.publish(model("Odd"), using="default")
    pubsubpull.publish(model("Other"), using="second")
    assert checks.check_shared_tables() == []


@pytest.mark.parametrize("hidden", [{}, {"exclude": ["text"]}], ids=["plain", "hiding"])
def test_children_made_with_inherits_are_captured_through_them_and_through_their_parent(model, hidden):
    run("CREATE TABLE odd (id int PRIMARY KEY, text text, n int DEFAULT 0)")
    run("CREATE TABLE odd_child (own json, PRIMARY KEY (id)) INHERITS (odd)")
    run("CREATE TABLE odd_other (n int, text text, id int NOT NULL); ALTER TABLE odd_other INHERIT odd")
    run("CREATE TABLE odd_grandchild (more text) INHERITS (odd_child)")
    fields = {"id": models.IntegerField(primary_key=True), "text": models.TextField(), "n": models.IntegerField()}
    publish(model(**fields), **hidden)
    assert planning.plan().actions == ()
    run("INSERT INTO odd (id, text) VALUES (1, 'a')")
    run("""INSERT INTO odd_child (id, text, own) VALUES (2, 'a', '"\\u0000"')""")
    run("INSERT INTO odd_other (id, text) VALUES (3, 'a')")
    run("INSERT INTO odd_grandchild (id, text, more) VALUES (4, 'a', 'b')")
    run("UPDATE odd SET n = 1")
    run("UPDATE odd_child SET own = NULL, n = 2")
    run("DELETE FROM ONLY odd")
    run("DELETE FROM odd_grandchild")
    run("TRUNCATE odd_other")
    run("TRUNCATE odd")
    found = log()
    assert sorted((op, key) for op, key, *_ in found) == sorted(
        [("I", k) for k in "1234"] + [("U", k) for k in "1234"] + [("U", k) for k in "24"] + [("D", k) for k in "1234"]
    )
    names = {"id", "n"} if hidden else {"id", "n", "text"}
    assert [set(image) for _, _, *images in found for image in images if image] == [names] * (4 + 4 + 2 * 6)
    run("ALTER TABLE odd_other NO INHERIT odd")
    assert {str(action) for action in planning.plan().actions} == {
        "drop 00_pubsubpull_row on public.odd_other",
        "drop 00_pubsubpull_truncate_partition on public.odd_other",
    }


def test_keys_that_may_not_be_unique_and_unlogged_tables_are_named(model):
    run("CREATE UNLOGGED TABLE odd (id int, text text)")
    publish(model())
    assert ids(checks.check_tables(databases=["default"])) == ["pubsubpull.W043", "pubsubpull.W044"]
    run("ALTER TABLE odd SET LOGGED")
    run("CREATE UNIQUE INDEX partly ON odd (id) WHERE id > 0")
    run("CREATE UNIQUE INDEX wider ON odd (id, text)")
    run("CREATE UNIQUE INDEX computed ON odd ((id + 1))")
    run("ALTER TABLE odd ALTER id SET NOT NULL")
    (warning,) = checks.check_tables(databases=["default"])
    assert (warning.id, "public.odd, which is published as shop.odd," in warning.msg) == ("pubsubpull.W043", True)
    run("CREATE UNIQUE INDEX whole ON odd (id)")
    assert checks.check_tables(databases=["default"]) == []
    run("ALTER TABLE odd ALTER id DROP NOT NULL")
    assert ids(checks.check_tables(databases=["default"])) == ["pubsubpull.W043"]


def test_columns_whose_text_depends_on_a_setting_of_the_session_are_named(model):
    run("CREATE TYPE price AS (amount money, currency text); CREATE DOMAIN paid AS money")
    run("CREATE TABLE odd (id int PRIMARY KEY, text money, a price[], b paid, c numeric, hidden money, masked money)")
    fields = {name: models.TextField(null=True) for name in ("text", "a", "b", "c", "hidden", "masked")}
    publish(model(id=models.IntegerField(primary_key=True), **fields), exclude=["hidden"], mask=["masked"])
    (warning,) = checks.check_tables(databases=["default"])
    assert (warning.id, "shop.odd is published with money in a, b, text: " in warning.msg) == ("pubsubpull.W045", True)
    run("ALTER TABLE odd ALTER text TYPE numeric, DROP a, DROP b")
    assert checks.check_tables(databases=["default"]) == []


def test_a_column_not_yet_hidden_is_named():
    before = dict(registry._publications)
    try:
        pubsubpull.publish(Customer, exclude=["email"])
        (warning,) = checks.check_tables(databases=["default"])
        assert warning.id == "pubsubpull.W041"
        assert "the publication of shop.customer hides email, but the installed triggers still write it" in warning.msg
        syncing.sync()
        assert checks.check_tables(databases=["default"]) == []
    finally:
        registry._publications.clear()
        registry._publications.update(before)


@pytest.fixture
def secured(model):
    """Make a published table of which row level security hides all rows from the session's role."""
    run("CREATE TABLE odd (id int PRIMARY KEY, text text)")
    publish(model())
    run("CREATE ROLE tenant; GRANT ALL ON ALL TABLES IN SCHEMA public TO tenant")
    run("GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO tenant; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO tenant")
    run('GRANT USAGE ON SCHEMA "Other Schema" TO tenant')
    run("ALTER TABLE odd ENABLE ROW LEVEL SECURITY; ALTER TABLE odd FORCE ROW LEVEL SECURITY")
    run("CREATE POLICY own ON odd USING (text = current_setting('app.tenant', true)) WITH CHECK (true)")
    run("SET LOCAL ROLE tenant")
    run("INSERT INTO odd VALUES (1, 'a')")
    return registry.get("shop.odd")


READERS = {
    "instances": lambda one: instances.page(one, after=None, limit=1, using="default"),
    "one instance": lambda one: instances.one(one, "1", using="default"),
    "hashes": lambda one: hashes.of(one, None, using="default").rows(None, None, using="default"),
    "ranges": lambda one: hashes.of(one, None, using="default").ranges([(None, None)], using="default"),
    "keys that share out the rows": lambda one: instances.ranges(one, parts=2, using="default"),
    "rows by key": lambda one: hashes.rows(one, ["1"], using="default"),
    "a dump": lambda one: dump.dump(one, io.BytesIO(), using="default"),
    "a baseline": lambda one: list(baseline.baseline("shop.odd", using="default")),
    "a resend": lambda one: resend.write(one, one.model._base_manager.all(), using="default"),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_table_filtered_by_row_level_security_is_refused(secured, read):
    with pytest.raises(exceptions.RowsHidden, match="BYPASSRLS"), transaction.atomic():
        read(secured)


def test_under_row_level_security_changes_are_captured_and_a_restore_is_refused(secured):
    assert [(op, key) for op, key, *_ in log()] == [("I", "1")]
    (version,) = Change.objects.filter(model="shop.odd").values_list("id", flat=True)
    with pytest.raises(exceptions.RestoreError, match="BYPASSRLS"), transaction.atomic():
        pubsubpull.restore(secured.model, 1, version)
    assert ids(checks.check_tables(databases=["default"])) == ["pubsubpull.W042"]


def test_over_http_the_refusal_is_a_503_that_says_why(secured, client):
    run("RESET ROLE")
    token = consumers.add("reader", ["*"])[1]
    run("SET LOCAL ROLE tenant")
    answer = client.get("/pubsubpull/models/shop.odd/instances/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 503
    assert "Row level security" in json.loads(answer.content)["detail"]
