"""Seals over the log's past, and erasing from it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings

import pubsubpull
from pubsubpull.audit.history import trail
from pubsubpull.audit.integrity import seals
from pubsubpull.capture import sql
from pubsubpull.models import Change, Request
from tests.sessions import session
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _log(transactional_db):
    run("TRUNCATE pubsubpull_change, pubsubpull_seal, pubsubpull_erasure")
    run("UPDATE pubsubpull_log SET dropped = 0")
    with pubsubpull.context(user="ann", path="/x"):
        for name in "abcdefg":
            Customer.objects.create(name=name)
    settle()


def run(statement, params=None):
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall() if cursor.description else None


def settle():
    for _ in range(2):
        run("SELECT pubsubpull_settle()")


def command(name, *arguments):
    out = io.StringIO()
    try:
        call_command(f"pubsubpull_{name}", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def seal():
    """Seal by three changes, and return the last hash."""
    return command("seal", "--age", "0", "--size", "3").splitlines()[-1]


def changes():
    return list(Change.objects.order_by("id"))


def test_sealed_changes_verify_and_later_seals_extend_the_chain():
    first = seal()
    assert "7 changes are as they were sealed, by 3 seals" in command("verify", "--expect", first)
    assert seal() == first, "there is nothing more to seal"
    Customer.objects.create(name="h")
    settle()
    second = seal()
    assert second != first
    for expected in (first, second):
        assert "8 changes are as they were" in command("verify", "--expect", expected)


ROW = "UPDATE pubsubpull_change SET {} WHERE id = {{id}}"
REQUEST = "UPDATE pubsubpull_request SET {}"
SEAL = "UPDATE pubsubpull_seal SET {} WHERE id = 2"
FORGERIES = {
    # Changes: altered in any part, out of place, taken out.
    ROW.format("new = jsonb_set(new, '{{name}}', '\"z\"')"): "change {id} altered",
    ROW.format("new = NULL"): "change {id} altered",
    ROW.format("old = new, new = NULL"): "change {id} altered",
    ROW.format("at = at - interval '1 s'"): "change {id} altered",
    ROW.format("at = 'infinity'"): "change {id} altered",
    ROW.format("xid = '7'"): "change {id} altered",
    ROW.format("model = 'shop.order'"): "change {id} altered",
    ROW.format("key = '0'"): "change {id} altered",
    ROW.format("key = NULL"): "change {id} altered",
    ROW.format("op = 'U'"): "change {id} altered",
    ROW.format("request_id = NULL"): "change {id} altered",
    ROW.format("request_id = gen_random_uuid()"): "change {id} altered",
    ROW.format("id = id + 100000"): "change {id} missing",
    ROW.format("id = -id"): "change {id} missing",
    "UPDATE pubsubpull_change c SET new = o.new FROM pubsubpull_change o WHERE c.id = {id} AND o.id = c.id + 1": (
        "change {id} altered"
    ),
    "DELETE FROM pubsubpull_change WHERE id = {id}": "change {id} missing",
    "DELETE FROM pubsubpull_change WHERE id >= {id}": "change {id} missing",
    "DELETE FROM pubsubpull_change WHERE id <= {id}": "change {id} missing",
    "WITH d AS (UPDATE pubsubpull_log SET dropped = {id}) DELETE FROM pubsubpull_change WHERE id <= {id}": "missing",
    # Who made them: each column of the request, another row for it, none.
    REQUEST.format("user_id = '7'"): "change {id} altered",
    REQUEST.format("user_name = 'bob'"): "change {id} altered",
    REQUEST.format("method = 'PUT'"): "change {id} altered",
    REQUEST.format("path = '/y'"): "change {id} altered",
    REQUEST.format("route = 'y'"): "change {id} altered",
    REQUEST.format("ip = '1.2.3.4'"): "change {id} altered",
    REQUEST.format("user_agent = 'y'"): "change {id} altered",
    REQUEST.format("correlation_id = 'y'"): "change {id} altered",
    REQUEST.format("traceparent = 'y'"): "change {id} altered",
    REQUEST.format("tracestate = 'y'"): "change {id} altered",
    REQUEST.format("source = 'y'"): "change {id} altered",
    REQUEST.format("started = started - interval '1 us'"): "change {id} altered",
    REQUEST.format("duration = 7"): "change {id} altered",
    REQUEST.format("status = 500"): "change {id} altered",
    REQUEST.format("metadata = '{{\"a\": 1}}'"): "change {id} altered",
    "INSERT INTO pubsubpull_request (id, xid, user_name, source, started) SELECT id, '0', 'bob', source, started "
    "FROM pubsubpull_request": "change {id} altered",
    "DELETE FROM pubsubpull_request": "change {id} altered",
    # Called erased.
    ROW.format("op = 'E', old = NULL, new = NULL"): "change {id} altered",
    "WITH e AS (INSERT INTO pubsubpull_erasure (id, change_id, model, key, op, digest, erased_by, reason) "
    "SELECT 1, id, model, key, 'I', sha256('x'), 'dpo', '' FROM pubsubpull_change WHERE id = {id}) "
    "UPDATE pubsubpull_change SET op = 'E', old = NULL, new = NULL WHERE id = {id}": "change {id} altered",
    # The seals: taken out, altered in any part, in another order, stripped as if retention had taken theirs.
    "DELETE FROM pubsubpull_seal WHERE id = 2": "seal 2 is missing",
    "DELETE FROM pubsubpull_seal WHERE id = 3": "No seal has the expected hash",
    "TRUNCATE pubsubpull_seal": "No seal has the expected hash",
    SEAL.format("digest = sha256('x')"): "seal 2, of",
    SEAL.format("hash = sha256('x')"): "seal 3, of",
    SEAL.format("kind = 'retention'"): "seal 2, of",
    SEAL.format("first_id = first_id - 1"): "seal 2, of",
    SEAL.format("last_id = last_id + 1"): "seal 3, of",
    SEAL.format("newest = newest + 1"): "seal 2, of",
    SEAL.format("sealed = sealed + 1"): "seal 2, of",
    SEAL.format("ids[1] = ids[1] + 1"): "seal 2 does not list",
    SEAL.format("times[1] = 0"): "seal 2 does not list",
    SEAL.format("leaves = set_byte(leaves, 7, 255 - get_byte(leaves, 7))"): "seal 2 does not list",
    SEAL.format("leaves = leaves || leaves"): "seal 2 does not list",
    SEAL.format("salts = set_byte(salts, 16, 255 - get_byte(salts, 16))"): "change {id} altered",
    SEAL.format("salts = NULL"): "change {id} altered",
    SEAL.format("ids = NULL, times = NULL, leaves = NULL, salts = NULL"): "seal 2 does not list",
    "UPDATE pubsubpull_seal a SET ids = b.ids, leaves = b.leaves, times = b.times, salts = b.salts, digest = b.digest "
    "FROM pubsubpull_seal b WHERE a.id = 2 AND b.id = 3": "seal 2, of",
    # What seals say of retention, without the setting.
    "INSERT INTO pubsubpull_seal (id, kind, first_id, last_id, newest, digest, hash, sealed) SELECT 4, 'retention', "
    "0, {id}, 9000000000000000, digest, hash, sealed FROM pubsubpull_seal WHERE id = 3": "seal 4, of",
}


@pytest.mark.parametrize(("statement", "place"), FORGERIES.items(), ids=range(len(FORGERIES)))
def test_a_past_that_was_changed_is_found_and_the_place_named(statement, place):
    expected = seal()
    id_ = changes()[4].id
    run(statement.format(id=id_))
    found = command("verify", "--expect", expected)
    assert place.format(id=id_) in found
    assert "is not what was sealed" in found


@pytest.mark.parametrize("column", ["dropped", "restored", "settled"])
def test_tampered_log_state_neither_hides_nor_feigns_changes(column):
    expected = seal()
    run(f"UPDATE pubsubpull_log SET {column} = {column} + 1000000")
    assert "7 changes are as they were" in command("verify", "--expect", expected)
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [changes()[0].id])
    assert "altered" in command("verify", "--expect", expected)


def test_no_function_of_the_database_is_believed():
    expected = seal()
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [changes()[0].id])
    run("ALTER FUNCTION pubsubpull_rows_digest(bytea, jsonb, jsonb) RENAME TO before")
    try:
        assert f"change {changes()[0].id} altered" in command("verify", "--expect", expected)
    finally:
        run("ALTER FUNCTION before(bytea, jsonb, jsonb) RENAME TO pubsubpull_rows_digest")


@pytest.mark.parametrize("table", ["change", "request", "seal", "erasure"])
def test_a_table_that_may_show_other_rows_to_others_is_named(table):
    expected = seal()
    run(f"ALTER TABLE pubsubpull_{table} ENABLE ROW LEVEL SECURITY")
    try:
        assert f"pubsubpull_{table} is not a plain table" in command("verify", "--expect", expected)
    finally:
        run(f"ALTER TABLE pubsubpull_{table} DISABLE ROW LEVEL SECURITY")


def test_a_view_in_the_place_of_a_table_is_named():
    seal()
    run("ALTER TABLE pubsubpull_erasure RENAME TO before")
    run("CREATE VIEW pubsubpull_erasure AS SELECT * FROM before")
    try:
        assert "pubsubpull_erasure is not a plain table" in command("verify")
    finally:
        run("DROP VIEW pubsubpull_erasure")
        run("ALTER TABLE before RENAME TO pubsubpull_erasure")


def test_an_older_hash_is_told_to_prove_nothing_after_it():
    first = seal()
    Customer.objects.create(name="h")
    settle()
    second = seal()
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [changes()[-1].id])
    run("DELETE FROM pubsubpull_seal WHERE id = 4")
    assert seal() != second
    found = command("verify", "--expect", first)
    assert "1 seals are later than the expected seal, which does not prove the changes they cover" in found
    assert "No seal has the expected hash" in command("verify", "--expect", second)


def test_a_change_that_was_put_in_is_found():
    with session() as other:
        run("SELECT nextval('pubsubpull_change_id_seq')")
        gap = Change.objects.latest("id").id + 1
        Customer.objects.create(name="h")
        settle()
        seal()
        other.execute(
            "INSERT INTO pubsubpull_change (id, model, op, key) VALUES (%s, 'shop.customer', 'I', '9')", [gap]
        )
    assert f"change {gap} put in" in command("verify")


def test_sealing_altered_changes_again_is_found_by_a_kept_hash():
    expected = seal()
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [changes()[0].id])
    run("TRUNCATE pubsubpull_seal")
    seal()
    assert "7 changes are as they were" in command("verify")
    assert "No seal has the expected hash" in command("verify", "--expect", expected)


def test_a_change_that_may_still_be_on_its_way_is_not_sealed():
    with session() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO shop_customer (name, email) VALUES ('late', '')")
        Customer.objects.create(name="h")
        settle()
        seal()
        assert sum(len(ids) for (ids,) in sql.run("default", sql.sql.SQL("SELECT ids FROM pubsubpull_seal"))) == 7
        other.execute("COMMIT")
    settle()
    seal()
    assert "9 changes are as they were" in command("verify")


def test_without_seals_nothing_is_proved():
    assert "There are no seals: nothing is proved. Run pubsubpull_seal" in command("verify")


def test_young_changes_are_left_for_later():
    assert "nothing to seal yet" in command("seal")
    assert "must be 0 or more" in command("seal", "--age", "-1")


@pytest.fixture
def old():
    """Seal the changes, of which the first five are as if of ten days ago."""
    there = changes()
    run("UPDATE pubsubpull_change SET at = at - interval '10 days' WHERE id <= %s", [there[4].id])
    return seal(), there


def keeping(days):
    return override_settings(PUBSUBPULL={"RETENTION": days * 86_400.0})


def drop(upto):
    run("DELETE FROM pubsubpull_change WHERE id <= %s", [upto.id])
    run("UPDATE pubsubpull_log SET dropped = %s", [upto.id])


@pytest.mark.parametrize(("place", "rest"), [(1, 5), (2, 4), (3, 3)])
def test_changes_deleted_by_retention_are_reported_and_the_rest_verifies(old, place, rest):
    expected, there = old
    drop(there[place])
    with keeping(9):
        found = command("verify", "--expect", expected)
        assert f"{rest} changes are as they were" in found
        assert f"up to version {there[place].id} have gone by retention" in found
        run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [there[place + 1].id])
        assert f"change {there[place + 1].id} altered" in command("verify", "--expect", expected)


def test_changes_younger_than_retention_were_not_deleted_by_it(old):
    expected, there = old
    drop(there[5])
    for days in (9, 11, 0):
        with keeping(days):
            found = command("verify", "--expect", expected)
        assert f"change {there[5].id} missing" in found
        assert (f"change {there[4].id} missing" in found) is (days != 9)


def test_changes_missing_in_the_middle_were_not_deleted_by_retention(old):
    expected, there = old
    run("DELETE FROM pubsubpull_change WHERE id = %s", [there[1].id])
    with keeping(9):
        assert f"change {there[1].id} missing" in command("verify", "--expect", expected)


def test_changes_deleted_by_retention_are_explained_though_the_setting_has_changed(old):
    expected, there = old
    drop(there[3])
    with keeping(9):
        later = seal()
        assert seal() == later, "there is nothing more to seal"
    assert run("SELECT count(*) FROM pubsubpull_seal WHERE ids IS NULL") == [(1,)]
    assert "3 changes are as they were" in command("verify", "--expect", later)
    assert "missing" in command("verify", "--expect", expected)
    drop(there[4])
    with keeping(9):
        assert "2 changes are as they were" in command("verify", "--expect", later)
    run("UPDATE pubsubpull_seal SET newest = newest + 1000000000 WHERE kind = 'retention'")
    assert "does not follow" in command("verify", "--expect", later)


def test_a_log_of_which_retention_has_taken_all_goes_on(old):
    _, there = old
    run("UPDATE pubsubpull_change SET at = at - interval '10 days'")
    run("TRUNCATE pubsubpull_seal")
    seal()
    drop(there[-1])
    with keeping(9):
        seal()
        assert "0 changes are as they were" in command("verify", "--expect", seal())
        Customer.objects.create(name="h")
        settle()
        assert "1 changes are as they were" in command("verify", "--expect", seal())


@pytest.fixture
def erased():
    """Delete, seal and erase a customer; return its key and the hash of before the erasure."""
    customer = Customer.objects.get(name="b")
    key = str(customer.pk)
    customer.delete()
    settle()
    expected = seal()
    command("erase", "shop.customer", key, "--yes", "--by", "dpo", "--reason", "asked")
    return key, expected


def test_an_erased_object_leaves_a_record_and_the_seals_hold(erased):
    key, expected = erased
    assert [(change.op, change.old, change.new) for change in Change.objects.filter(key=key)] == [
        ("E", None, None),
        ("X", {"id": int(key)}, None),
    ]
    found = command("verify", "--expect", expected)
    assert "8 changes are as they were" in found
    assert "2 changes were erased on request" in found
    assert f"2 changes of shop.customer {key}, " in found
    assert " by dpo: asked" in found
    found = command("verify", "--expect", seal())
    assert "2 changes were erased on request" in found
    assert "by dpo" not in found, "the seal that is expected tells of it"
    trail_ = json.loads(f"[{trail.page('shop.customer', key, before=None, limit=10, using='default').items}]")
    assert [(item["op"], item["changed"]) for item in trail_] == [("erase", {}), ("erase", {})]
    assert "0 changes" in command("erase", "shop.customer", key, "--yes")


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE pubsubpull_change SET key = '0' WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET at = at - interval '1 s' WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET request_id = gen_random_uuid() WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_request SET user_name = 'bob'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET op = 'U' WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET op = 'X', old = '{{}}' WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET new = '{{\"name\": \"z\"}}' WHERE op = 'E'", "change {id} altered"),
        ("UPDATE pubsubpull_change SET old = '{{\"id\": 0}}' WHERE op = 'X'", "altered"),
        ("UPDATE pubsubpull_change SET op = 'D' WHERE op = 'X'", "altered"),
        ("UPDATE pubsubpull_change SET op = 'E', old = NULL WHERE op = 'X'", "altered"),
        ("DELETE FROM pubsubpull_change WHERE op = 'E'", "change {id} missing"),
        ("DELETE FROM pubsubpull_erasure WHERE id = 1", "erasure 1 missing"),
        ("UPDATE pubsubpull_erasure SET erased_by = 'bob' WHERE id = 1", "erasure 1 altered"),
        ("UPDATE pubsubpull_erasure SET reason = '' WHERE id = 1", "erasure 1 altered"),
        ("UPDATE pubsubpull_erasure SET erased = erased - interval '1 s' WHERE id = 1", "erasure 1 altered"),
        ("UPDATE pubsubpull_erasure SET op = 'U' WHERE id = 1", "change {id} altered"),
        ("UPDATE pubsubpull_erasure SET digest = sha256('x') WHERE id = 1", "change {id} altered"),
        ("UPDATE pubsubpull_erasure SET change_id = change_id + 1 WHERE id = 1", "change {id} altered"),
        ("UPDATE pubsubpull_erasure SET id = 9 WHERE id = 1", "erasure 1 missing"),
    ],
)
def test_an_altered_erased_change_or_record_is_found(erased, statement, place):
    expected = seal()
    assert "8 changes are as they were" in command("verify", "--expect", expected)
    id_ = Change.objects.get(op="E").id
    run(statement.format())
    found = command("verify", "--expect", expected)
    assert place.format(id=id_) in found
    assert "is not what was sealed" in found


def test_an_erasure_that_was_made_to_hide_an_alteration_is_named(erased):
    """A writer of the database can erase and no more: the values are gone, and the erasure is reported."""
    expected = seal()
    other = changes()[-2]
    run("SELECT pubsubpull_erase('shop.customer', %s, '{id}', 'mallory', '')", [other.key])
    assert " by mallory" in command("verify", "--expect", expected)
    run("UPDATE pubsubpull_change SET key = '0' WHERE id = %s", [other.id])
    assert f"change {other.id} altered" in command("verify", "--expect", expected)


def test_erased_values_cannot_be_guessed_from_their_digests(erased):
    """No salt is left of it: neither with the seal nor with the record of the erasure."""
    key, _ = erased
    gone = Change.objects.get(op="E")
    zeros = run(
        "SELECT substr(salts, (array_position(ids, %s) - 1) * 16 + 1, 16) FROM pubsubpull_seal WHERE %s = ANY (ids)",
        [gone.id, gone.id],
    )
    assert [bytes(salt) for (salt,) in zeros] == [bytes(16)]
    row = json.dumps({"id": int(key), "name": "b", "email": ""})
    ((digest, tried),) = run(
        "SELECT digest, pubsubpull_rows_digest('', NULL, %s) FROM pubsubpull_erasure WHERE change_id = %s",
        [row, gone.id],
    )
    assert bytes(digest) != bytes(tried)


def test_each_change_has_a_salt_of_its_own():
    seal()
    salts = b"".join(bytes(salts) for (salts,) in run("SELECT salts FROM pubsubpull_seal"))
    assert len({salts[place : place + 16] for place in range(0, len(salts), 16)}) == 7


def test_a_change_erased_before_sealing_is_sealed_as_erased():
    customer = Customer.objects.get(name="b")
    key = str(customer.pk)
    customer.delete()
    command("erase", "shop.customer", key, "--yes")
    settle()
    expected = seal()
    assert "8 changes are as they were" in command("verify", "--expect", expected)
    run("UPDATE pubsubpull_change SET key = '0' WHERE op = 'E'")
    assert "altered" in command("verify", "--expect", expected)


def test_columns_that_are_forgotten_leave_a_row_that_is_proved():
    """The remaining values have a digest of their own; they can be forgotten in turn, and all be erased."""
    expected = seal()
    there = changes()[0]
    for columns in (["email"], ["name"]):
        run("SELECT pubsubpull_forget(%s, %s, NULL, 'dpo', '')", [[there.id], columns])
        assert "7 changes are as they were" in command("verify", "--expect", expected)
    assert Change.objects.get(id=there.id).new == {"id": int(there.key)}
    assert "7 changes are as they were" in command("verify", "--expect", seal())
    run("UPDATE pubsubpull_change SET new = '{\"id\": 0}' WHERE id = %s", [there.id])
    assert f"change {there.id} altered" in command("verify", "--expect", expected)
    run("UPDATE pubsubpull_change SET new = %s WHERE id = %s", [json.dumps({"id": int(there.key)}), there.id])
    Customer.objects.filter(pk=there.key).delete()
    command("erase", "shop.customer", there.key, "--yes")
    assert "7 changes are as they were" in command("verify", "--expect", expected)
    assert run("SELECT count(*) FROM pubsubpull_erasure WHERE octet_length(salt) > 0") == [(0,)]


def test_an_alteration_that_is_called_a_forgotten_column_is_named():
    """Only the record describes the remaining values, until a kept hash proves them."""
    expected = seal()
    there = changes()[0]
    run("SELECT pubsubpull_forget(%s, '{email}', NULL, 'mallory', '')", [[there.id]])
    assert f"columns email of 1 changes of shop.customer {there.key}, " in command("verify", "--expect", expected)
    later = seal()
    assert "mallory" not in command("verify", "--expect", later)
    run('UPDATE pubsubpull_change SET new = new || \'{"name": "z"}\' WHERE id = %s', [there.id])
    for hash_ in (expected, later):
        assert f"change {there.id} altered" in command("verify", "--expect", hash_)


def test_an_erased_delete_keeps_only_its_key(erased):
    key, expected = erased
    change = Change.objects.get(op="X")
    forged = json.dumps({"id": int(key), "name": "z"})
    run("UPDATE pubsubpull_change SET old = %s WHERE id = %s", [forged, change.id])
    run(
        "UPDATE pubsubpull_erasure SET remains = pubsubpull_rows_digest('', %s, NULL) WHERE change_id = %s",
        [forged, change.id],
    )
    assert f"change {change.id} altered" in command("verify", "--expect", expected)


def test_an_impossible_erasure_gives_its_reason():
    assert "is not published" in command("erase", "shop.nothing", "1")
    assert "has no changes" in command("erase", "shop.customer", "99999999")


def test_two_that_seal_at_once_seal_one_after_the_other():
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock('pubsubpull_seal'::regclass::oid::integer, 1)")
        run("SET lock_timeout = '100ms'")
        try:
            assert "lock timeout" in command("seal", "--age", "0")
        finally:
            run("RESET lock_timeout")
        other.execute("COMMIT")
    seal()
    assert "7 changes are as they were sealed, by 3 seals" in command("verify")


def test_a_seal_reads_no_more_of_large_rows_than_there_is_room_for():
    assert len(list(seals.seal("default", age=0, max_bytes=1))) == 7
    assert "7 changes are as they were sealed, by 7 seals" in command("verify")


@pytest.mark.parametrize("name", ["x", 'é\u0001\t"\\', "x" * 100_000])
def test_a_digest_is_the_same_whatever_the_session_is_set_to(name):
    Customer.objects.create(name=name)
    settle()
    expected = seal()
    for setting in ("TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'", "extra_float_digits = -10"):
        run(f"SET {setting}")
    try:
        assert "8 changes are as they were" in command("verify", "--expect", expected)
    finally:
        run("RESET ALL")
        connection.close()


def end(request, name="boss"):
    run("SELECT pubsubpull_finish_request(%s, 200, 0.1, '7', %s)", [request, name])


def test_of_a_request_that_is_sealed_nothing_is_noted_any_more():
    request = Request.objects.get()
    expected = seal()
    end(request.id)
    assert Request.objects.get().user_name == "ann"
    assert Request.objects.get().status is None
    assert "7 changes are as they were" in command("verify", "--expect", expected)


def test_of_a_request_that_began_long_ago_nothing_is_noted_any_more():
    run("UPDATE pubsubpull_request SET started = now() - interval '25 hours'")
    end(Request.objects.get().id)
    assert Request.objects.get().status is None


def test_only_a_granted_role_may_record_the_end_of_a_request():
    run("CREATE ROLE psp_nobody")
    try:
        may = run(
            "SELECT has_function_privilege('psp_nobody', oid, 'EXECUTE') FROM pg_proc "
            "WHERE proname = 'pubsubpull_finish_request'"
        )
        assert may == [(False,)]
    finally:
        run("DROP ROLE psp_nobody")


def test_the_user_of_a_sealed_change_cannot_be_set_afterwards():
    """The application may claim that the request is written; if it was not, the seal records an unknown user."""
    request = "01234567-89ab-cdef-0123-456789abcdef"
    with transaction.atomic():
        run("SELECT set_config('pubsubpull.request', %s, true)", [request + "{}"])
        run("SELECT set_config('pubsubpull.written', %s, true)", [request])
        run("INSERT INTO shop_customer (name, email) VALUES ('x', '')")
    settle()
    expected = seal()
    with transaction.atomic():
        run("SELECT set_config('pubsubpull.request', %s, true)", [request + '{"user_name": "mallory"}'])
        run("INSERT INTO shop_customer (name, email) VALUES ('y', '')")
    end(request, "mallory")
    assert [one.user_name for one in Request.objects.filter(id=request)] == [None]
    assert "8 changes are as they were" in command("verify", "--expect", expected)
