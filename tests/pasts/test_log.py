"""Effects of an imported past: histories have it, and the feed, seals and retention stay the same."""

from __future__ import annotations

import datetime as dt
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone

import pubsubpull
from pubsubpull import conf
from pubsubpull.audit.imports import packages
from pubsubpull.exceptions import HistoryError
from pubsubpull.log import feed, partitions
from pubsubpull.models import Change, Request
from pubsubpull.operate import maintenance
from pubsubpull.pull import consumers
from tests import roles
from tests.pasts.conftest import command, run, uncaptured
from tests.pasts.models import Kept, Logged
from tests.processes import until
from tests.sessions import session

pytestmark = pytest.mark.django_db(transaction=True)

DAY = dt.timedelta(days=1)


@pytest.fixture
def old():
    """Import an object with a version for each of some days ago."""
    with uncaptured(Kept):
        one = Kept.objects.create(name="0")
        for days in (3, 2, 1):
            one.name = str(days)
            one._history_date = timezone.now() - days * DAY
            one.save()
        del one._history_date
        first = one.history.earliest("history_id")
        first.history_date = timezone.now() - 4 * DAY
        first.save()
    command("import", "simple-history")
    return one


def ids():
    return list(Change.objects.order_by("id").values_list("id", flat=True))


def read_all(cursor=None):
    found = []
    while True:
        page = feed.page(cursor, limit=2)
        found += json.loads(f"[{page.items.decode()}]")
        cursor = page.cursor
        if not page.more:
            return found, cursor


def test_imported_versions_go_with_time_and_are_below_those_of_captured_changes(old):
    old.name = "now"
    old.save()
    entries = list(pubsubpull.history(old))
    assert [entry.new["name"] for entry in entries] == ["now", "1", "2", "3", "0"]
    assert entries[0].version > 0 > entries[1].version
    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)
    # Whoever reads JSON as floating-point numbers reads them right.
    assert all(abs(entry.version) < 2**53 for entry in entries)


def test_as_of_reads_the_imported_past(old):
    now = timezone.now()
    assert pubsubpull.as_of(Kept, old.pk, now - 2.5 * DAY).data["name"] == "3"
    assert pubsubpull.as_of(Kept, old.pk, now - 5 * DAY) is None
    with pytest.raises(HistoryError):
        pubsubpull.as_of(Kept, 0, now)


def test_a_span_of_the_log_has_the_imported_changes_in_it(old):
    old.name = "now"
    old.save()
    now = timezone.now()

    def names(**span):
        return [entry.new["name"] for entry in pubsubpull.history(models=[Kept], **span)]

    assert names() == ["now", "1", "2", "3", "0"]
    assert names(since=now - 2.5 * DAY) == ["now", "1", "2"]
    assert names(since=now - 2.5 * DAY, until=now - 1.5 * DAY) == ["2"]
    assert names(until=now - 2.5 * DAY) == ["3", "0"]
    assert names(since=now - dt.timedelta(minutes=1)) == ["now"]
    assert names(until=now - 9 * DAY) == []


def test_a_span_has_imported_changes_that_are_younger_than_captured_ones_of_other_models():
    Logged.objects.create(name="captured")
    run("UPDATE pubsubpull_change SET at = at - interval '9 days'")
    with uncaptured(Kept):
        Kept.objects.create(name="imported")
    command("import", "simple-history")
    recent = pubsubpull.history(since=timezone.now() - DAY)
    assert [entry.new["name"] for entry in recent] == ["imported"]


def test_the_feed_and_its_cursors_never_see_an_imported_change(old):
    before = read_all()
    assert before[0] == []
    waiting = feed.present().cursor()
    Kept.objects.create(name="captured")
    with uncaptured(Kept):
        other = Kept.objects.create(name="later")
        run("UPDATE pasts_historicalkept SET history_date = now() - interval '2 days' WHERE id = %s", [other.pk])
    assert "1 changes are imported" in command("import", "simple-history")
    for cursor in (None, before[1], waiting):
        assert [item["new"]["name"] for item in read_all(cursor)[0]] == ["captured"]


def test_an_import_delays_no_writer(old):
    """The partition of the past is made beside a transaction that has written and is still open."""
    run("DROP TABLE pubsubpull_change_past")
    with session() as other:
        other.execute("BEGIN")
        other.execute("INSERT INTO pasts_bare (name) VALUES ('open')")
        assert "4 changes are imported" in command("import", "simple-history")
        other.execute("COMMIT")


def test_the_version_of_an_instance_is_that_of_its_latest_captured_change(old, client):
    _, token = consumers.add("reader", ["*"], may_audit=True)
    headers = {"Authorization": f"Bearer {token}"}

    def get(path):
        answer = client.get(f"/pubsubpull/{path}", headers=headers)
        assert answer.status_code == 200, answer.content
        return answer.json()

    path = f"models/pasts.kept/instances/{old.pk}/"
    before = get(path)["version"]
    assert before >= 0
    first = get(f"models/pasts.kept/audit/{old.pk}/?limit=2")
    assert [item["changed"]["name"][1] for item in first["items"]] == ["1", "2"]
    following = get(first["next"].split("/pubsubpull/")[1])
    assert [item["changed"]["name"][1] for item in following["items"]] == ["3", "0"]
    request = get(f"requests/{first['items'][0]['request']['id']}/")
    assert [change["new"]["name"] for change in request["changes"]] == ["1"]
    Kept.objects.filter(pk=old.pk).update(name="later")
    assert get(path)["version"] > before, "an imported change has no version that compares"


def test_the_admin_pages_through_the_imported_past_and_restores_from_it(old, client):
    client.force_login(User.objects.create_superuser("root"))
    latest, before = list(pubsubpull.history(old))[:2]
    page = client.get(f"/admin/pasts/kept/{old.pk}/history/", {"before": latest.version})
    assert page.status_code == 200
    assert f"version={before.version}" in page.content.decode()
    assert str(latest.version) not in page.content.decode().replace(f"before={latest.version}", "")
    answer = client.post(f"/admin/pasts/kept/{old.pk}/history/restore/", {"version": before.version})
    assert answer.status_code == 302, answer.content
    old.refresh_from_db()
    assert old.name == before.new["name"] == "2"


def settle():
    for _ in range(2):
        run("SELECT pubsubpull_settle()")


def seal():
    return command("seal", "--age", "0", "--size", "3").splitlines()[-1]


def test_imported_changes_are_sealed_whenever_they_come(old):
    Kept.objects.create(name="captured")
    settle()
    first = seal()
    assert "5 changes are as they were sealed" in command("verify", "--expect", first)
    with uncaptured(Kept):
        Kept.objects.create(name="imported")
        run("UPDATE pasts_historicalkept SET history_date = now() - interval '2 days' WHERE name = 'imported'")
    command("import", "simple-history")
    assert "1 imported changes are not sealed yet" in command("verify", "--expect", first)
    second = seal()
    assert second != first
    assert seal() == second
    assert "6 changes are as they were sealed" in command("verify", "--expect", second)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE pubsubpull_change SET new = '{{}}' WHERE id = {id}", "change {id} altered"),
        ("UPDATE pubsubpull_change SET at = at - interval '1 s' WHERE id = {id}", "change {id} altered"),
        ("UPDATE pubsubpull_change SET id = id + 7 WHERE id = {id}", "change {id} missing"),
        ("DELETE FROM pubsubpull_change WHERE id = {id}", "change {id} missing"),
        ("DELETE FROM pubsubpull_change WHERE id <= {id}", "change {id} missing"),
        ("UPDATE pubsubpull_request SET user_name = 'bob'", "change {id} altered"),
    ],
)
def test_an_imported_past_that_was_changed_is_found(old, statement, place):
    expected = seal()
    id_ = ids()[1]
    run(statement.format(id=id_))
    found = command("verify", "--expect", expected)
    assert place.format(id=id_) in found
    assert "is not what was sealed" in found


def test_an_imported_past_that_was_sealed_and_went_by_retention_is_said(old):
    expected = seal()
    with settings(RETENTION=2.5 * DAY.total_seconds()):
        maintenance.Pass(conf.get(), now=time.time()).run()
        assert "2 changes are as they were sealed" in command("verify", "--expect", expected)
        later = seal()
    assert "2 changes are as they were sealed" in command("verify", "--expect", later)
    assert "missing" in command("verify", "--expect", expected)


def settings(**given):
    return override_settings(PUBSUBPULL={"SERVICE_NAME": "pasts", **given})


def test_changes_older_than_retention_are_not_imported(old):
    run("TRUNCATE pubsubpull_change")
    with settings(RETENTION=2.5 * DAY.total_seconds()):
        said = command("import", "simple-history")
    assert "2 changes are imported" in said
    assert "2 are older than RETENTION keeps" in said
    assert "goes once it is older than that" in said


def test_imported_changes_go_when_they_come_to_their_age_and_the_others_stay(old):
    Kept.objects.create(name="captured")
    with settings(RETENTION=2.5 * DAY.total_seconds()):
        tried = maintenance.Pass(conf.get(), now=time.time(), dry_run=True).run()
        assert tried.dropped == ["2 imported changes"]
        done = maintenance.Pass(conf.get(), now=time.time()).run()
    assert done.trimmed == 2
    assert [entry.new["name"] for entry in pubsubpull.history()] == ["captured", "1", "2"]
    assert Request.objects.filter(source="simple-history").count() == 2


def test_maintenance_makes_its_partitions_as_if_nothing_were_imported(old):
    with settings(PARTITION_SIZE=1000):
        report = maintenance.Pass(conf.get(), now=time.time()).run()
    assert (report.held_up, report.dropped) == ([], [])
    there = partitions.read(feed.present(), "default")
    assert [one.high for one in there[:-1]] == [one.low for one in there[1:]]


def test_old_captured_changes_go_and_younger_imported_ones_stay(old):
    """A log that was captured for long, of another model, is trimmed row by row."""
    Logged.objects.create(name="captured")
    run("UPDATE pubsubpull_change SET at = at - interval '20 days' WHERE id > 0")
    with settings(RETENTION=10 * DAY.total_seconds()):
        for _ in range(3):
            maintenance.Pass(conf.get(), now=time.time()).run()
    assert [entry.new["name"] for entry in pubsubpull.history()] == ["1", "2", "3", "0"]


def test_an_erased_object_does_not_come_back_with_another_import(old):
    with uncaptured(Kept):
        Kept.objects.filter(pk=old.pk).delete()
        run("DELETE FROM pasts_historicalkept WHERE history_type = '-'")
    expected = seal()
    command("erase", "pasts.kept", str(old.pk), "--yes")
    assert "4 changes are as they were sealed" in command("verify", "--expect", expected)
    said = command("import", "simple-history")
    assert "0 changes are imported" in said
    assert "4 are of objects that were erased from the log" in said
    assert not Change.objects.exclude(new__isnull=True, old__isnull=True).exists()


def test_an_import_that_was_cut_short_goes_on(old):
    before = ids()
    run("TRUNCATE pubsubpull_change, pubsubpull_request")
    (one,) = packages.imports("simple-history", ["pasts.kept"], using="default")
    one.begin()
    parts = one.run(at_once=1)
    next(parts)
    next(parts)
    parts.close()
    assert len(ids()) == 2
    said = command("import", "simple-history")
    assert "2 changes are imported" in said
    assert ids() == before
    assert run("SELECT count(*) FROM pubsubpull_import") == [(0,)]


def test_changes_of_one_moment_get_versions_of_their_own_in_their_order():
    with uncaptured(Kept):
        for name in "abc":
            one = Kept.objects.create(name=name)
            one.name += "!"
            one.save()
        run("UPDATE pasts_historicalkept SET history_date = '2024-01-01 00:00:00+00'")
    (one,) = packages.imports("simple-history", ["pasts.kept"], using="default")
    one.begin()
    assert sum(one.run(at_once=2)) == 6
    entries = list(pubsubpull.history())
    assert [entry.new["name"] for entry in entries] == ["c!", "c", "b!", "b", "a!", "a"]
    assert entries[0].version - entries[-1].version == 5
    with uncaptured(Kept):
        Kept.objects.create(name="d")
        run("UPDATE pasts_historicalkept SET history_date = '2024-01-01 00:00:00+00'")
    assert "1 changes are imported" in command("import", "simple-history")
    assert pubsubpull.history()[0].new["name"] == "d"


def test_captured_changes_are_not_imported(old):
    """Both wrote it down, when pubsubpull was there already; the package's clock may have been a little behind."""
    run("TRUNCATE pubsubpull_change")
    old.name = "both"
    old.save()
    old.name = "both again"
    old.save()
    run(
        "UPDATE pasts_historicalkept SET history_date = (SELECT min(at) FROM pubsubpull_change) - interval '1 second' "
        "WHERE name = 'both'"
    )
    said = command("import", "simple-history")
    assert "2 are of the time since capture began" in said
    assert [entry.new["name"] for entry in pubsubpull.history(old)] == ["both again", "both", "1", "2", "3", "0"]


def test_a_dry_run_reports_the_import_and_changes_nothing(old):
    run("TRUNCATE pubsubpull_change")
    said = command("import", "simple-history", "pasts.Kept", "--dry-run")
    assert "pasts.kept: 4 changes would be imported, from " in said
    assert ids() == []
    assert run("SELECT count(*) FROM pubsubpull_import") == [(0,)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("simple-history", "pasts.nothing"), "pasts.nothing is not published. Published are: pasts.alone"),
        (("simple-history", "pasts.bare"), "pasts.bare has no past in django-simple-history: leave the model out."),
        (("pghistory", "pasts.kept"), "pasts.kept has no past in django-pghistory: leave the model out."),
        (("auditlog", "pasts.bare"), "pasts.bare has no past in django-auditlog: leave the model out."),
    ],
)
def test_a_model_without_a_past_is_an_error_that_says_so(arguments, error):
    assert error in command("import", *arguments)


def test_a_missing_package_is_an_error_with_a_remedy():
    from django.conf import settings as given

    with override_settings(INSTALLED_APPS=[app for app in given.INSTALLED_APPS if app != "auditlog"]):
        assert "django-auditlog is not in INSTALLED_APPS" in command("import", "auditlog")


def test_two_imports_at_the_same_time_bring_each_change_once(old):
    """Both have staged the same changes; the second waits for the first, and finds its imported changes."""
    run("TRUNCATE pubsubpull_change, pubsubpull_request")
    (one,) = packages.imports("simple-history", ["pasts.kept"], using="default")
    one.begin()
    with session() as other, ThreadPoolExecutor() as pool:
        other.execute("BEGIN")
        moved = "SELECT written FROM pubsubpull_import('pasts.kept', '-infinity', 0, NULL, 3)"
        assert other.execute(moved).fetchone() == (3,)
        waiting = pool.submit(lambda: sum(_closing(one.run())))
        until(lambda: run("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [(1,)])
        other.execute("COMMIT")
        assert waiting.result(30) == 1
    assert [entry.new["name"] for entry in pubsubpull.history(old)] == ["1", "2", "3", "0"]


def test_an_import_that_another_one_disturbed_says_so(old):
    run("TRUNCATE pubsubpull_change, pubsubpull_request")
    said = []

    class Listening(io.StringIO):
        def write(self, text):
            if "are to be imported" in text and not said:
                said.append(command("import", "simple-history", "pasts.kept"))
            return super().write(text)

    with pytest.raises(CommandError, match="another import was at it at the same time, and 4 changes were not"):
        call_command("pubsubpull_import", "simple-history", "pasts.kept", stdout=Listening())
    assert "4 changes are imported" in said[0]
    assert len(ids()) == 4


def _closing(parts):
    """Give all parts, and close this thread's connection."""
    try:
        yield from parts
    finally:
        connection.close()


def test_an_import_begins_only_once_capture_has():
    """A change between the import and the first captured change would be in neither."""
    command("triggers", "--sync")
    run('DROP TRIGGER "00_pubsubpull_insert" ON pasts_kept')
    try:
        assert "pasts.kept is not captured yet: run migrate first." in command("import", "simple-history", "pasts.kept")
    finally:
        command("triggers", "--sync")


def test_an_import_gives_up_where_others_keep_the_log_from_it(old):
    """It has brought in nothing then, and holds no writer up while it tries."""
    run("DROP TABLE pubsubpull_change_past")
    with session() as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM pubsubpull_change_default")
        assert "other transactions have the log locked" in command("import", "simple-history")
    assert "4 changes are imported" in command("import", "simple-history")


def test_a_role_that_may_not_write_the_log_is_told_so(old):
    run("TRUNCATE pubsubpull_change, pubsubpull_request")
    role = roles.own("past_reader")
    run(f"CREATE ROLE {role}")
    try:
        run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        run(f"SET ROLE {role}")
        assert "The database's role may not write the log's past" in command("import", "simple-history", "pasts.kept")
    finally:
        run("RESET ROLE")
        run(f"DROP OWNED BY {role}")
        run(f"DROP ROLE {role}")
    assert ids() == []
