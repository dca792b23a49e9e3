"""The message of a command without a log: one line with a remedy, and never a traceback."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from pubsubpull.pull import consumers
from tests.shop.models import Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def no_log(db):
    """Hide all that was migrated, until the test's transaction is taken back."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA public RENAME TO hidden")


@pytest.mark.parametrize(
    "command",
    [
        ("compare",),
        ("consumer", "add", "billing", "--models", "shop.order"),
        ("consumer", "list"),
        ("deliver", "--once"),
        ("dump", "shop.order"),
        ("erase", "shop.order", "1"),
        ("follow", "--once"),
        ("maintain",),
        ("resend", "shop.order", "--all"),
        ("seal",),
        ("secrets",),
        ("subscriptions", "list"),
        ("triggers",),
        ("verify",),
    ],
    ids=" ".join,
)
def test_a_command_before_any_migrate_says_to_migrate(no_log, command):
    name, *arguments = command
    with pytest.raises(CommandError, match="manage.py migrate --database default") as refused:
        call_command(f"pubsubpull_{name}", *arguments, stdout=io.StringIO(), stderr=io.StringIO())
    assert "\n" not in str(refused.value)


def test_the_api_before_any_migrate_is_unavailable_and_says_why(no_log, client):
    answer = client.get("/pubsubpull/", headers={"Authorization": "Bearer psp_x"})
    assert answer.status_code == 503
    assert "manage.py migrate" in answer.json()["detail"]


@pytest.mark.django_db(databases=["default", "second"])
def test_the_triggers_that_are_looked_at_are_those_of_the_database_that_the_settings_name():
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA public RENAME TO hidden")
    out = io.StringIO()
    with override_settings(PUBSUBPULL={"DATABASE": "second"}):
        call_command("pubsubpull_triggers", stdout=out, stderr=out)
    assert "00_pubsubpull_insert" in out.getvalue()


@pytest.mark.parametrize("name", ["a/b", "a b", "", "a\n"])
def test_a_consumer_has_a_name_that_its_subscriptions_can_be_called_by(name):
    with pytest.raises(CommandError, match="no spaces and no slashes"):
        call_command("pubsubpull_consumer", "add", name, "--models", "*")


def test_a_consumer_of_nothing_is_refused_unless_it_monitors(capsys):
    with pytest.raises(CommandError, match="--models: name one at least"):
        call_command("pubsubpull_consumer", "add", "billing", "--models", " ,")
    call_command("pubsubpull_consumer", "add", "prometheus", "--monitor")
    assert consumers.consumers().get(name="prometheus").may_monitor


def test_resend_names_the_filter_that_it_cannot_use():
    Order.objects.create()
    for wrong, words in (("id=99999999999999999999x", "--filter"), ("nothing=1", "Cannot resolve keyword")):
        with pytest.raises(CommandError, match=words):
            call_command("pubsubpull_resend", "shop.order", "--filter", wrong)


def test_a_dump_that_failed_before_its_first_row_leaves_no_file_in_the_way_of_the_next(no_log, tmp_path):
    file = tmp_path / "orders.gz"
    with pytest.raises(CommandError, match="manage.py migrate"):
        call_command("pubsubpull_dump", "shop.order", "--to", str(file))
    assert not file.exists()
