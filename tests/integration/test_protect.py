"""The log append-only by right: for a role of its own that may do everything else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io

import psycopg.errors
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

import pubsubpull
from pubsubpull import conf
from pubsubpull.audit.integrity import erasure, protection, seals
from pubsubpull.capture import planning, syncing
from pubsubpull.checks.database import check_triggers
from pubsubpull.log import feed, partitions
from pubsubpull.models import Sample, Subscription
from pubsubpull.operate import health, maintenance, maintenance_loop
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import delivering, roles
from tests.shop.models import Account, Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
APP, LOG = "psp_app", "psp log"  # a name that must be quoted
ROLES = [APP, LOG, "psp_low", "psp_group", "psp_keeper"]
"""Written plainly here; where the database hears or tells of one, it is this process's own."""
TAMPERING = [
    "UPDATE pubsubpull_change SET key = '0'",
    "DELETE FROM pubsubpull_change",
    "TRUNCATE pubsubpull_change",
    "INSERT INTO pubsubpull_change (model, op, key) VALUES ('shop.customer', 'I', '1')",
    "UPDATE pubsubpull_change_default SET key = '0'",
    "INSERT INTO {partition} (id, model, op, key) VALUES (1, 'shop.customer', 'I', '1')",
    "TRUNCATE {partition}",
    "ALTER TABLE pubsubpull_change DETACH PARTITION {partition}",
    "DROP TABLE pubsubpull_change",
    "CREATE TRIGGER t BEFORE DELETE ON pubsubpull_log EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "UPDATE pubsubpull_request SET user_name = 'bob'",
    "DELETE FROM pubsubpull_request",
    "UPDATE pubsubpull_log SET settled = 0",
    "DELETE FROM pubsubpull_seal",
    "INSERT INTO pubsubpull_import SELECT model, at, 1, 1, 'I', key, NULL, new, '{}' FROM pubsubpull_change",
    "SELECT pubsubpull_import('shop.customer', '-infinity', 0, NULL, 1)",
    "INSERT INTO pubsubpull_erasure SELECT id, id, 'x', key, op, NULL, '', '', '', at, '', '' FROM pubsubpull_change",
    "SELECT setval('pubsubpull_change_id_seq', 1)",
    "UPDATE pubsubpull_seal SET salts = NULL",
    "SELECT pubsubpull_erase('shop.customer', '1', '{id}', 'bob', '')",
    "SELECT pubsubpull_forget('{1}', NULL, '{}', 'bob', '')",
    "SELECT pubsubpull_close_requests('{1}')",
    "SELECT pubsubpull_trim(1, '1')",
    "SELECT pubsubpull_detach_partition(1, '1')",
    "SELECT pubsubpull_drop_detached()",
    "SELECT pubsubpull_prune_requests(now(), 1)",
    "SELECT pubsubpull_begin_history()",
    "SELECT pubsubpull_log_row('shop.customer', '{id}', '{}', '{}', NULL, '{\"id\": 1}')",
    "CREATE TEMP TABLE forged (id int); CREATE TRIGGER t AFTER INSERT ON forged REFERENCING NEW TABLE AS new_rows "
    "FOR EACH STATEMENT EXECUTE FUNCTION pubsubpull_capture_insert('shop.customer', '{id}', '{}', '{}')",
]


def run(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(roles.owned(statement, ROLES))
        return cursor.fetchall() if cursor.description else None


def protect(*arguments):
    out = io.StringIO()
    try:
        given = [roles.owned(argument, ROLES) for argument in ("--role", APP, *arguments)]
        call_command("pubsubpull_protect", *given, stdout=out, stderr=out)
    except CommandError as error:
        return roles.plain(f"{out.getvalue()}{error}")
    return roles.plain(out.getvalue())


def holes():
    return [roles.plain(hole) for hole in protection.holes(roles.own(APP), using="default")]


@pytest.fixture
def me():
    return run("SELECT current_user")[0][0]


@pytest.fixture(autouse=True)
def _roles(me):
    """Make a role that may do all with all tables, as many an application's, and one to own the log."""
    run("TRUNCATE pubsubpull_change, pubsubpull_request, pubsubpull_seal, pubsubpull_erasure")
    run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as newer databases have it: until PostgreSQL 14 everybody may
    run(f"CREATE ROLE {APP}", f'CREATE ROLE "{LOG}"', 'GRANT USAGE ON SCHEMA public, "Other Schema" TO psp_app')
    for what in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        run(f"GRANT ALL ON ALL {what} IN SCHEMA public TO {APP}")
        run(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON {what} TO {APP}")
    yield
    protect("--undo", "--owner", me)
    for role in (APP, f'"{LOG}"'):
        run(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@contextlib.contextmanager
def application(role=APP):
    """Be the application's role, or another, on each connection that is made within."""
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    options["assume_role"] = roles.owned(role, ROLES)
    try:
        yield
    finally:
        del options["assume_role"]
        connection.close()


def assert_append_only(partition=None):
    partition = partition or partitions.read(feed.present(), "default")[0].name
    for statement in (text.replace("{partition}", partition) for text in TAMPERING):
        with pytest.raises(ProgrammingError) as caught, transaction.atomic():
            run(statement)
        assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege), statement


def test_the_role_writes_to_its_tables_and_cannot_alter_captured_changes():
    assert f"The log is append-only for {APP}." in protect()
    with application():
        with pubsubpull.context(user="ann"):
            customer = Customer.objects.create(name="a")
            Customer.objects.filter(pk=customer.pk).update(name="b")
        Account.objects.create(owner="o")  # captured row by row
        assert_append_only()
        customer.delete()
        Order.objects.all().delete()
        found = pubsubpull.history(models=[Customer])
    assert [(entry.op, entry.user) for entry in found] == [("delete", None), ("update", "ann"), ("insert", "ann")]


def test_of_the_functions_with_the_owners_rights_the_role_may_call_only_these():
    protect()
    may = run(
        f"SELECT proname FROM pg_proc WHERE proname LIKE 'pubsubpull%' AND prosecdef "
        f"AND has_function_privilege('{APP}', oid, 'EXECUTE') ORDER BY 1"
    )
    assert [name for (name,) in may] == [
        "pubsubpull_annotate_request",
        "pubsubpull_emit",
        "pubsubpull_finish_request",
        "pubsubpull_make_partition",
        "pubsubpull_present",
        "pubsubpull_settle",
        "pubsubpull_uncapture",
    ]


EVERYBODY = [
    "pubsubpull_as_logged",
    "pubsubpull_excluded",
    "pubsubpull_guarded",
    "pubsubpull_guarded_columns",
    "pubsubpull_hash_query",
    "pubsubpull_hstore",
    "pubsubpull_hstores",
    "pubsubpull_instances",
    "pubsubpull_key",
    "pubsubpull_mask",
    "pubsubpull_move_replicas",
    "pubsubpull_partitions",
    "pubsubpull_past_id",
    "pubsubpull_poll",
    "pubsubpull_range_hash",
    "pubsubpull_readable",
    "pubsubpull_row_hashes",
    "pubsubpull_take_page",
]
"""What everybody may call: with their own rights, so that it does no more than they can do by themselves."""


def test_public_may_call_only_functions_with_invoker_rights():
    run("CREATE ROLE psp_low", "GRANT USAGE ON SCHEMA public TO psp_low")
    try:
        found = run(
            "SELECT proname, prosecdef, has_function_privilege('psp_low', oid, 'EXECUTE'), "
            "format('SELECT %I(%s)', proname, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ' ORDER BY i) "
            "FROM unnest(proargtypes) WITH ORDINALITY AS a (t, i))) FROM pg_proc"
            " WHERE proname LIKE 'pubsubpull%' AND pronamespace = 'public'::regnamespace ORDER BY 1"
        )
        assert [(name, definer) for name, definer, may, _ in found if may] == [(name, False) for name in EVERYBODY]
        with application("psp_low"):
            for name, _, may, call in found:
                if not may and "anyelement" not in call:
                    with (
                        pytest.raises(ProgrammingError, match=f"permission denied for function {name}"),
                        transaction.atomic(),
                    ):
                        run(call)
    finally:
        run("DROP OWNED BY psp_low", "DROP ROLE psp_low")


def test_a_role_without_the_functions_it_needs_is_told_of_them():
    run(
        "CREATE ROLE psp_low",
        'GRANT USAGE ON SCHEMA public, "Other Schema" TO psp_low',
        "GRANT SELECT ON pubsubpull_change TO psp_low",
    )
    try:
        assert "pubsubpull.W051" not in {warning.id for warning in check_triggers(databases=["default"])}
        with application("psp_low"):
            (warning,) = [one for one in check_triggers(databases=["default"]) if one.id == "pubsubpull.W051"]
        assert "The role psp_low may not call pubsubpull_annotate_request(uuid,jsonb), pubsubpull_emit" in roles.plain(
            warning.msg
        )
        call_command("pubsubpull_protect", "--role", roles.own("psp_low"), stdout=io.StringIO())
        with application("psp_low"):
            assert "pubsubpull.W051" not in {warning.id for warning in check_triggers(databases=["default"])}
    finally:
        run("DROP OWNED BY psp_low", "DROP ROLE psp_low")


def test_the_role_reads_delivers_and_looks_after_partitions(client):
    protect()
    with application():
        consumer, token = consumers.add("billing", ["*"], may_subscribe=True, may_audit=True)
        wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"])
        service.put(consumer, "main", wish)
        customer = Customer.objects.create(name="a")
        delivering.run(lambda _, transport: delivering.until(lambda: transport.sent))
        for path in ("changes/", f"models/shop.customer/audit/{customer.pk}/"):
            answer = client.get(f"/pubsubpull/{path}", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200, answer.content
        assert client.get("/write/by-request/").status_code == 201
        maintenance.run(conf.get())
    entry = pubsubpull.history(models=[Customer])[0]
    assert entry.request["status"] == 201
    assert Subscription.objects.get().state == "active"


def test_the_partition_of_an_imported_past_has_no_rights_of_its_own():
    there = run("SELECT to_regclass('pubsubpull_change_past') IS NOT NULL")[0][0]
    protect()
    run("SELECT pubsubpull_make_past()")
    assert holes() == []
    if not there:
        run("DROP TABLE pubsubpull_change_past")


def test_the_role_makes_the_next_partitions_ahead_and_no_others():
    protect()
    last = there()[-2]
    run(f"SELECT setval('pubsubpull_change_id_seq', {last.low})")
    with application():
        assert len(maintenance.run(conf.get()).made) == 2
        assert partitions.read(feed.present(), "default")[-1].low > last.high
        assert holes() == [], "a new partition has no rights of its own"
        end = there()[-1].low
        for low, high in ((end, 2 * 10**9 + end), (end + 1, end + 10), (end, end), (1, 10)):
            assert not partitions.make(low, high, "default")
        made = sum(partitions.make(end + n, end + n + 1, "default") for n in range(101))
        assert made == 98, "no more than a hundred are ahead"
    run(*(f"DROP TABLE pubsubpull_change_p{end + n}" for n in range(made)))


def there():
    return partitions.read(feed.present(), "default")


def due(retention):
    """Have a change that is old enough to go, whole partitions of it or not; return settings that say so."""
    run("UPDATE pubsubpull_log SET settled = 0")
    Customer.objects.create(name="a")
    run("UPDATE pubsubpull_change SET at = at - interval '10 days'")
    for _ in range(2):
        maintenance.run(conf.get())
    return dataclasses.replace(conf.get(), RETENTION=retention)


def test_dropping_the_past_needs_the_owners_role_and_the_rest_of_the_pass_is_done(me):
    protect()
    settings = due(86400.0)
    Sample.objects.all().delete()
    with application():
        report = maintenance.run(settings)
    assert report.left
    assert report.owner == me
    assert (report.dropped, report.trimmed, report.requests) == ([], 0, 0)
    assert Sample.objects.exists()
    done = maintenance.run(settings)
    assert done.trimmed or done.dropped
    assert done.left == []


def test_a_worker_with_the_role_reports_the_owners_part_once(me, caplog):
    protect()
    settings = due(86400.0)
    with application():
        asyncio.run(twice(settings))
    maintenance.run(settings)
    assert caplog.text.count(f"run pubsubpull_maintain as {me}, by cron") == 1


async def twice(settings):
    """Do a worker's periodic work twice."""
    one = maintenance_loop.Upkeep(settings=settings)
    try:
        await one.run_once()
        await one.run_once()
    finally:
        await one.close()


def test_the_command_run_with_the_role_fails_and_names_the_owner(me, settings):
    protect()
    due(86400.0)
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "RETENTION": 86400.0}
    with application(), pytest.raises(CommandError, match=f"may not do what is due: .*run this as {me}, its owner"):
        call_command("pubsubpull_maintain", stdout=io.StringIO())
    call_command("pubsubpull_maintain", stdout=io.StringIO())


def test_health_reports_partitions_the_owner_has_not_dropped(me):
    protect()
    settings = due(86400.0)
    with application():
        found = health.checks(settings)["retention"]
    assert found.startswith("the oldest change is 10.0 days old, RETENTION is 1.0; run pubsubpull_maintain")
    assert found.endswith(f"as {me}")
    maintenance.run(settings)
    assert health.checks(settings)["retention"] == "ok"


def test_writes_go_on_where_no_partition_is_left_and_the_owner_is_asked_for(me):
    protect()
    end = there()[-1].low
    run(f"SELECT setval('pubsubpull_change_id_seq', {end})")
    with application():
        Customer.objects.create(name="a")
        report = maintenance.run(conf.get())
        found = health.checks(conf.get())["partitions"]
        Customer.objects.create(name="b")
    assert "the default partition" in report.left[0]
    assert report.made == []
    assert found == f"changes go into the default partition; run pubsubpull_maintain as {me}"
    maintenance.run(conf.get())
    assert health.checks(conf.get())["partitions"] == "ok"
    assert [entry.new["name"] for entry in pubsubpull.history(models=[Customer])] == ["b", "a"]


def test_where_the_role_owns_the_log_it_is_told_to_name_another_owner():
    protect("--undo", "--owner", APP)
    found = protect()
    assert f"{APP} owns the log" in found
    assert "CREATE ROLE pubsubpull_log NOLOGIN" in found
    with application():
        Customer.objects.create(name="a")
        run("DELETE FROM pubsubpull_change")
    found = protect("--owner", LOG)
    assert f"The log is append-only for {APP}." in found
    with application():
        assert_append_only()
        Customer.objects.create(name="b")
    assert pubsubpull.history(models=[Customer])[0].new["name"] == "b"
    for _ in range(2):
        run("SELECT pubsubpull_settle()")
    assert list(seals.seal("default", age=0))
    run(f'GRANT "{LOG}" TO {APP}')
    assert f"{APP} is, or may become, {LOG}" in protect("--owner", LOG)
    assert f"or may become, {LOG}, which owns pubsubpull_" in "".join(holes())


def test_a_member_of_owner_and_application_does_the_owners_part():
    """The owner itself logs in nowhere, and has no right on the tables that are the application's."""
    protect("--owner", LOG)
    settings = due(86400.0)
    run(f'CREATE ROLE psp_keeper IN ROLE "{LOG}", {APP}')
    try:
        with application("psp_keeper"):
            done = maintenance.run(settings)
        assert done.left == []
        assert done.trimmed or done.dropped
        with application("psp_keeper"):
            Customer.objects.create(name="b")
            for _ in range(2):
                run("SELECT pubsubpull_settle()")
            assert list(seals.seal("default", age=0))
            key = str(Customer.objects.get(name="b").pk)
            assert erasure.erase("default", "shop.customer", key, by="dpo", reason="") == 1
        assert holes() == []
    finally:
        run("DROP OWNED BY psp_keeper", "DROP ROLE psp_keeper")


def test_where_the_owner_is_a_superuser_it_says_how_to_have_another():
    assert "superuser" in protect()
    assert "superuser" not in protect("--owner", LOG)


def test_with_retention_it_names_the_command_for_the_owner(settings):
    assert "RETENTION" not in protect()
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "RETENTION": 86400.0}
    assert f"RETENTION is set: run pubsubpull_maintain by cron as {LOG}" in protect("--owner", LOG)


def test_a_dry_run_shows_the_statements_and_does_nothing():
    found = protect("--dry-run", "--owner", LOG)
    assert f'ALTER TABLE pubsubpull_change OWNER TO "{LOG}";' in found
    assert f"REVOKE ALL ON TABLE pubsubpull_change FROM {APP};" in found
    with application():
        run("DELETE FROM pubsubpull_change")


def test_undoing_gives_the_rights_back():
    protect()
    found = protect("--undo")
    assert "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER" in found
    with application():
        run("DELETE FROM pubsubpull_change")
        Customer.objects.create(name="a")
        assert planning.plan().actions == ()


@pytest.mark.parametrize(
    ("statement", "hole"),
    [
        (f"ALTER ROLE {APP} SUPERUSER", f"{APP} is a superuser"),
        (f"GRANT pg_write_all_data TO {APP}", f"{APP} is a member of pg_write_all_data"),
    ],
)
def test_a_role_beyond_revoking_is_reported(statement, hole):
    run(statement)
    found = protect()
    assert "append-only for psp_app." not in found
    assert hole in found


def test_a_role_that_owns_the_schema_could_drop_the_log_and_is_told_so():
    ((owner,),) = run("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'")
    run(f"ALTER SCHEMA public OWNER TO {APP}")
    try:
        assert "may drop everything in the schema public" in protect()
    finally:
        run(f"ALTER SCHEMA public OWNER TO {owner}")


def test_rights_of_a_group_and_of_public_are_revoked_too():
    run(f"REVOKE ALL ON pubsubpull_change FROM {APP}", "CREATE ROLE psp_group", f"GRANT psp_group TO {APP}")
    try:
        run("GRANT UPDATE, SELECT ON pubsubpull_change TO psp_group", "GRANT DELETE ON pubsubpull_change TO PUBLIC")
        assert f"The log is append-only for {APP}." in protect()
        with application():
            assert_append_only()
    finally:
        run("DROP OWNED BY psp_group", "DROP ROLE psp_group")


def test_an_impossible_action_is_reported():
    out = io.StringIO()
    with pytest.raises(CommandError, match="The role nobody does not exist"):
        call_command("pubsubpull_protect", "--role", "nobody", stdout=out)
    assert "The role nobody does not exist" in protect("--owner", "nobody")
    with application():
        assert "The log is not append-only for psp_app" in protect(), "it cannot take rights from itself"
        assert "Nothing was changed: must be" in protect("--owner", LOG)


@pytest.fixture
def _group():
    """Make a group that the role is in, and is not given the rights of until it takes them."""
    run("CREATE ROLE psp_group", f"GRANT psp_group TO {APP}", f"ALTER ROLE {APP} NOINHERIT")
    yield
    run("DROP OWNED BY psp_group CASCADE", "DROP ROLE psp_group")


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("grantee", ["psp_group", "PUBLIC"])
@pytest.mark.parametrize("inherits", ["INHERIT", "NOINHERIT"])
def test_rights_of_groups_and_public_on_functions_and_the_sequence_are_revoked_too(grantee, inherits):
    run(f"ALTER ROLE {APP} {inherits}")
    with_the_owners_rights = run(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE proname ~ '^pubsubpull_' AND prosecdef"
    )
    granted = ["ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public"]
    granted += [f"FUNCTION {name}" for (name,) in with_the_owners_rights]
    run(*(f"GRANT ALL ON {what} TO {grantee}" for what in granted))
    partition = there()[0].name
    try:
        assert f"The log is append-only for {APP}." in protect()
        with application():
            assert_append_only()
        if grantee == "psp_group":
            with application("psp_group"):
                assert_append_only(partition)
    finally:
        run(*(f"REVOKE ALL ON {what} FROM {grantee}" for what in granted))


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize(
    ("statement", "undo", "hole"),
    [
        ("GRANT CREATE ON SCHEMA public TO psp_group", None, "psp_group may create objects in the schema public"),
        (
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "PUBLIC may create objects in the schema",
        ),
        (
            "ALTER TABLE shop_customer OWNER TO psp_group",
            "ALTER TABLE shop_customer OWNER TO {me}",
            "psp_group owns shop_customer",
        ),
        (
            "CREATE TYPE psp_part AS ENUM ('x'); ALTER TYPE psp_part OWNER TO psp_app; "
            "CREATE TYPE psp_whole AS (part psp_part[]); ALTER TABLE shop_customer ADD COLUMN psp psp_whole",
            "DROP TYPE psp_part, psp_whole CASCADE",
            "psp_app owns the type psp_part",
        ),
        (
            "CREATE TYPE psp_part AS ENUM ('x'); "
            "CREATE FUNCTION psp_json(psp_part) RETURNS json LANGUAGE sql AS $$SELECT '1'::json$$; "
            "CREATE CAST (psp_part AS json) WITH FUNCTION psp_json(psp_part); "
            "ALTER FUNCTION psp_json(psp_part) OWNER TO psp_group; "
            "ALTER TABLE shop_customer ADD COLUMN psp psp_part",
            "DROP TYPE psp_part CASCADE",
            "the cast (psp_part AS json) of a captured column calls psp_json(psp_part)",
        ),
        (
            "CREATE SCHEMA psp_other AUTHORIZATION psp_group; SET search_path = psp_other, public",
            "SET search_path = public; DROP SCHEMA psp_other",
            "psp_group may create objects in the schema psp_other",
        ),
        ("ALTER ROLE psp_group SUPERUSER", None, "may become psp_group, a superuser"),
        ("GRANT pg_execute_server_program TO psp_group", None, "is a member of pg_execute_server_program"),
        (
            "ALTER DATABASE {database} OWNER TO psp_group",
            "ALTER DATABASE {database} OWNER TO {me}",
            "may drop the database",
        ),
        (
            "CREATE TRIGGER psp_t BEFORE INSERT ON pubsubpull_change "
            "FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "DROP TRIGGER psp_t ON pubsubpull_change",
            "the trigger psp_t on pubsubpull_change is not pubsubpull's",
        ),
        (
            "CREATE RULE psp_r AS ON INSERT TO pubsubpull_log DO ALSO NOTHING",
            "DROP RULE psp_r ON pubsubpull_log",
            "the rule psp_r on pubsubpull_log is not pubsubpull's",
        ),
        (
            "CREATE POLICY psp_p ON pubsubpull_request USING (true)",
            "DROP POLICY psp_p ON pubsubpull_request",
            "the policy psp_p on pubsubpull_request is not pubsubpull's",
        ),
        (
            "CREATE FUNCTION psp_f(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true'; "
            "ALTER TABLE pubsubpull_request ADD CONSTRAINT psp_c CHECK (psp_f(path))",
            "DROP FUNCTION psp_f(text) CASCADE",
            "uses the function psp_f(text)",
        ),
        (
            "CREATE FUNCTION psp_f(text) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
            "CREATE DOMAIN psp_d AS text CHECK (psp_f(VALUE)); ALTER TABLE pubsubpull_log ADD COLUMN psp psp_d",
            "DROP FUNCTION psp_f(text) CASCADE; DROP DOMAIN psp_d CASCADE",
            "an index of pubsubpull_log is not pubsubpull's, and uses the type psp_d",
        ),
        (
            "CREATE TABLE psp_of_change (change bigint REFERENCES pubsubpull_change)",
            "DROP TABLE psp_of_change",
            "a foreign key of psp_of_change refers to pubsubpull_change",
        ),
        (
            "CREATE FUNCTION pubsubpull_guarded(shop_customer, oid, text[]) RETURNS jsonb "
            "LANGUAGE sql AS 'SELECT NULL::jsonb'",
            "DROP FUNCTION pubsubpull_guarded(shop_customer, oid, text[])",
            "the function pubsubpull_guarded(shop_customer,oid,text[]) has a name like those of pubsubpull",
        ),
        (
            "CREATE TABLE psp_forged (id int); CREATE TRIGGER psp_t AFTER INSERT ON psp_forged REFERENCING NEW TABLE "
            "AS new_rows EXECUTE FUNCTION pubsubpull_capture_insert('shop.customer', '{{id}}', '{{}}', '{{}}')",
            "DROP TABLE psp_forged",
            "the trigger psp_t on psp_forged is not pubsubpull's",
        ),
        (
            "CREATE TABLE psp_forged (id int); CREATE TRIGGER psp_t AFTER INSERT ON psp_forged REFERENCING NEW TABLE "
            "AS new_rows EXECUTE FUNCTION pubsubpull_capture_insert('shop.customer', '{{id}}', '{{}}', '{{}}'); "
            "ALTER TABLE psp_forged OWNER TO psp_group",
            "DROP TABLE psp_forged",
            "psp_group owns psp_forged",
        ),
    ],
)
def test_each_way_round_the_rights_is_named_and_fails_the_command(statement, undo, hole, me):
    parts = {"me": me, "database": f'"{connection.settings_dict["NAME"]}"'}
    run(statement.format(**parts))
    try:
        found = protect()
    finally:
        run(*([undo.format(**parts)] if undo else []))
    assert hole in found
    assert f"append-only for {APP}." not in found.replace(f"not append-only for {APP}", "")


@pytest.mark.usefixtures("_group")
def test_a_role_that_may_disable_triggers_is_named():
    if connection.pg_version < 150000:
        pytest.skip("PostgreSQL 15 and newer have rights on settings")
    run("GRANT SET ON PARAMETER session_replication_role TO psp_group")
    assert "psp_group may set session_replication_role" in protect()


@pytest.mark.usefixtures("_group")
def test_before_postgresql_16_a_role_with_createrole_may_become_any_role(me):
    run("ALTER ROLE psp_group CREATEROLE")
    assert ("psp_group may create roles" in protect()) == (connection.pg_version < 160000)
    if connection.pg_version < 160000:
        with application():
            run("SET ROLE psp_group", f'GRANT "{LOG}" TO {APP}')


def test_functions_that_the_role_had_altered_while_it_owned_them_are_made_anew():
    protect("--undo", "--owner", APP)
    with application():
        run(
            "CREATE OR REPLACE FUNCTION pubsubpull_mask(data jsonb, masked text[]) RETURNS jsonb "
            "LANGUAGE sql AS 'SELECT data'"
        )
    assert "CREATE OR REPLACE FUNCTION" in protect("--dry-run", "--owner", LOG)
    assert f"The log is append-only for {APP}." in protect("--owner", LOG)
    assert planning.plan().actions == ()


@pytest.mark.parametrize(
    "name", ["pubsubpull_mine()", "pubsubpull_present(integer)", "pubsubpull_guarded(record, oid, text[])"]
)
def test_no_function_that_others_put_among_the_logs_becomes_its_owners(name):
    """Its trigger would go on firing after any revoke, with the rights of the log's owner."""
    run(f"GRANT CREATE ON SCHEMA public TO {APP}")
    with application():
        result = "trigger" if name.endswith("()") else "text"
        run(
            f"CREATE FUNCTION public.{name} RETURNS {result} "
            "LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'"
        )
    owner = "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE proname LIKE 'pubsubpull\\_%' ORDER BY 1"
    before = run(owner)
    try:
        said = protect("--owner", LOG)
        assert "Nothing was changed: the function pubsubpull_" in said
        assert "is none of them: drop it" in said
        assert run(owner) == before
    finally:
        run(f"DROP FUNCTION public.{name}")
    assert f"The log is append-only for {APP}." in protect("--owner", LOG)


def test_an_overload_in_the_logs_schema_does_not_run_with_the_owners_rights():
    """Its types fit better than those of PostgreSQL's own function, under any search path."""
    run(f"GRANT CREATE ON SCHEMA public TO {APP}")
    bodies = {
        "to_jsonb(record) RETURNS jsonb": "pg_catalog.to_jsonb($1)",
        "set_config(text, text, boolean) RETURNS text": "pg_catalog.set_config($1, $2, $3)",
        "jsonb_object_field_text(jsonb, text) RETURNS text": "pg_catalog.jsonb_object_field_text($1, $2)",
        "cardinality(text[]) RETURNS integer": "pg_catalog.cardinality($1)",
        "left(text, integer) RETURNS text": "pg_catalog.left($1, $2)",
        "format(text, bigint) RETURNS text": "pg_catalog.format($1, $2)",
        "age(xid) RETURNS integer": "pg_catalog.age($1)",
        "minus(jsonb, text[]) RETURNS jsonb": "$1 OPERATOR(pg_catalog.-) $2",
    }
    with application():
        for head, same in bodies.items():
            run(
                f"CREATE FUNCTION public.{head} LANGUAGE plpgsql AS $f$ BEGIN IF current_user <> session_user "
                f"AND current_user <> '{APP}' THEN RAISE 'taken over'; END IF; RETURN {same}; END $f$"
            )
        run("CREATE OPERATOR public.- (FUNCTION = public.minus, LEFTARG = jsonb, RIGHTARG = text[])")
    try:
        protect("--owner", LOG)
        with application(), pubsubpull.context(user="ann"):
            run("SET search_path = public, pg_catalog")
            customer = Customer.objects.create(name="a")
            Customer.objects.filter(pk=customer.pk).update(name="b")
            Account.objects.create(owner="o")
            Customer.objects.bulk_create([Customer(name="c"), Customer(name="d")])
            Customer.objects.all().delete()
            run("SELECT pubsubpull_present()", "SELECT pubsubpull_settle()")
    finally:
        run("DROP OPERATOR public.- (jsonb, text[])")
        run(*(f"DROP FUNCTION public.{head.split(' RETURNS')[0]}" for head in bodies))


def test_the_documented_steps_protect_the_log_from_its_former_owner(me):
    """As docs/audit.md has it."""
    protect("--undo", "--owner", APP)
    tables = [
        name for (name,) in run("SELECT oid::regclass::text FROM pg_class WHERE relname ~ '^shop_' AND relkind = 'r'")
    ]
    run(*(f"ALTER TABLE {name} OWNER TO {APP}" for name in tables))
    try:
        assert f"{APP} owns shop_customer: {APP} may drop its triggers" in protect("--owner", LOG)
        run(
            f'CREATE ROLE psp_keeper IN ROLE "{LOG}"',
            f"REASSIGN OWNED BY {APP} TO psp_keeper",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APP}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP}",
            'GRANT USAGE ON SCHEMA "Other Schema" TO psp_keeper',
        )
        assert f"The log is append-only for {APP}." in protect("--owner", LOG)
        with application():
            assert_append_only()
            for statement in (
                "ALTER TABLE shop_customer DISABLE TRIGGER ALL",
                "ALTER TABLE shop_customer ADD COLUMN psp text",
                "CREATE TABLE public.psp_mine (id int)",
            ):
                with pytest.raises(ProgrammingError, match="must be owner|permission denied"), transaction.atomic():
                    run(statement)
            Customer.objects.create(name="a")
        with application("psp_keeper"):
            run('DROP TRIGGER "00_pubsubpull_insert" ON shop_customer')
            assert len(syncing.sync().done) == 1
            call_command(
                "pubsubpull_triggers",
                "--baseline",
                "shop.customer",
                "--again",
                stdout=io.StringIO(),
                stderr=io.StringIO(),
            )
        assert [entry.op for entry in pubsubpull.history(models=[Customer])] == ["update", "insert"]
    finally:
        run(*(f"ALTER TABLE {name} OWNER TO {me}" for name in tables), f"REASSIGN OWNED BY {APP} TO {me}")
        run("REASSIGN OWNED BY psp_keeper TO " + me, "DROP OWNED BY psp_keeper", "DROP ROLE psp_keeper")
