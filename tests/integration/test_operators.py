"""`pubsubpull_subscriptions`: the state of subscriptions, and the operator's actions."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Failure, Host, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.delivering import run, until
from tests.exchanges import HttpRecorder, Response
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)
    return put(consumer)


def put(consumer, name="main", **given):
    wish = service.SubscriptionSpec(**{"callback": "http://127.0.0.1:9/", "models": ["shop.customer"], **given})
    return service.put(consumer, name, wish)[0]


def now(made):
    return Subscription.objects.get(pk=made.pk)


def command(*arguments):
    output = io.StringIO()
    call_command("pubsubpull_subscriptions", *arguments, stdout=output)
    return output.getvalue()


def set_aside(made, *versions):
    return [
        Failure.objects.create(
            subscription=made,
            version=version,
            model="shop.customer",
            op="I",
            item=f'{{"version":{version},"old":null,"new":null}}',
            attempts=8,
            status=500,
            error="The receiver answered 500.",
        )
        for version in versions
    ]


def test_list_tells_state_lag_and_the_last_error(made):
    put(made.consumer, "paused", paused=True)
    Customer.objects.create(name="a")
    set_aside(made, 1, 2)
    Subscription.objects.filter(name="main").update(
        state="failing", last_error="The receiver answered 500.", next_attempt="2030-01-01T00:00Z"
    )
    first, second = command("list").splitlines()
    assert first.startswith("billing/main: failing, 1 changes and ")
    assert first.endswith("2 dead letters, next attempt 2030-01-01T00:00:00Z. The receiver answered 500.")
    assert second.startswith("billing/paused: paused, 1 changes")
    (only,) = command("list", "--state", "paused").splitlines()
    assert command("list", "--state", "lapsed") == "No subscription is lapsed.\n"
    assert command("list", "--state", "lapsed", "--json") == ""
    assert only.startswith("billing/paused: paused, 1 changes")
    found = json.loads(command("list", "--state", "failing", "--json"))
    assert (found["name"], found["failures"], found["lag"]["changes"]) == ("billing/main", 2, 1)
    assert found["next_attempt"] == "2030-01-01T00:00:00Z"
    assert service.secret_of(made) not in command("list") + json.dumps(found)


def test_a_paused_subscription_gets_nothing_until_it_is_resumed(made):
    other = put(made.consumer, "other")

    def work(one, _):
        until(lambda: now(made).worker)
        assert command("pause", "billing/main") == "billing/main is paused.\n"
        assert now(made).worker is None
        until(lambda: list(one.leases.held) == [other.pk])
        Customer.objects.create(name="a")
        until(lambda: Subscription.objects.get(name="other").delivered)
        assert not now(made).delivered
        assert command("resume", "billing/main") == "billing/main is active.\n"
        until(lambda: now(made).delivered)

    run(work)


@pytest.mark.parametrize("state", ["disabled", "unsubscribed"])
def test_an_enabled_subscription_catches_up_from_its_cursor(made, state):
    Customer.objects.create(name="a")
    Subscription.objects.update(
        state=state, attempts=9, failing_since="2020-01-01T00:00Z", last_error="Disabled after failing for too long."
    )
    transport = HttpRecorder()

    def work(*_):
        Customer.objects.create(name="b")
        assert command("enable", "billing/main") == "billing/main is active.\n"
        until(lambda: now(made).delivered == 2)

    run(work, transport)
    assert json.loads(transport.sent[0].body)["previous"] == made.cursor
    fares = now(made)
    assert (fares.state, fares.attempts, fares.failing_since, fares.last_error) == ("active", 0, None, "")


def test_enabling_asks_a_receiver_that_has_not_consented(made):
    Subscription.objects.update(state="disabled", verify=True)
    command("enable", "billing/main")
    assert now(made).state == "unverified"


def test_a_failing_subscription_and_its_host_are_tried_at_once(made):
    Customer.objects.create(name="a")
    Host.objects.create(
        host="127.0.0.1:9", failures=9, began="2030-01-01T00:00Z", retry_at="2030-01-01T00:00Z", error="no"
    )
    Subscription.objects.update(state="failing", attempts=9, next_attempt="2030-01-01T00:00Z")

    def work(_, transport):
        until(lambda: now(made).worker)
        assert not transport.sent
        command("retry", "billing/main")
        until(lambda: transport.sent)

    run(work)
    assert not Host.objects.exists()


def test_a_rewound_subscription_goes_on_from_its_new_cursor(made):
    Customer.objects.create(name="a")
    later = feed.present().cursor().encode()
    Customer.objects.create(name="b")
    command("rewind", "billing/main", "--to", later)
    assert (now(made).cursor, now(made).last_sent_cursor) == (later, later)
    command("rewind", "billing/main", "--to", "start")
    transport = HttpRecorder()
    run(lambda *_: until(lambda: now(made).delivered >= 2), transport)
    command("rewind", "billing/main", "--to", "now")
    command("rewind", "billing/main", "--to", "2001-01-01T00:00:00Z")
    assert feed.page(Cursor.decode(now(made).cursor), models=["shop.customer"], limit=10).count == 2
    with pytest.raises(CommandError, match="--to: must say its time zone too"):
        command("rewind", "billing/main", "--to", "2001-01-01T00:00:00")
    with pytest.raises(CommandError, match='--to: must be a cursor, "now", "start", or a time'):
        command("rewind", "billing/main", "--to", "then")
    cursor = feed.present().cursor()
    foreign = feed.dataclasses.replace(cursor, history=cursor.history + 1).encode()
    with pytest.raises(CommandError, match="another history"):
        command("rewind", "billing/main", "--to", foreign)


@pytest.mark.parametrize("action", ["resume", "enable", "retry"])
def test_an_action_that_does_not_fit_the_state_is_refused_with_the_state(made, action):
    with pytest.raises(CommandError, match="main is not .* it is active"):
        command(action, "billing/main")
    command("pause", "billing/main")
    with pytest.raises(CommandError, match="it is paused"):
        command("pause", "billing/main")


@pytest.mark.parametrize("name", ["main", "other/main", "billing/none", ""])
def test_an_invalid_name_is_refused_with_a_remedy(made, name):
    with pytest.raises(CommandError, match="`list` shows all"):
        command("pause", name)


def test_dead_letters_are_listed_sent_again_and_dropped(made):
    first, second, third = set_aside(made, 1, 2, 3)
    lines = command("failures", "billing/main").splitlines()
    assert lines[0] == f"{first.pk}: I shop.customer, version 1, tried 8 times. The receiver answered 500."
    assert len(lines) == 3
    assert command("retry-failures", "billing/main", "--id", str(second.pk)) == "1 changes are sent again.\n"
    assert "to be tried again" in command("failures", "billing/main").splitlines()[1]
    transport = HttpRecorder(Response(status=204))
    run(lambda *_: until(lambda: Failure.objects.count() == 2), transport)
    assert [json.loads(sent.body)["items"] for sent in transport.sent] == [[{"version": 2, "old": None, "new": None}]]
    assert command("drop-failures", "billing/main", "--id", str(third.pk)) == "1 changes are dropped.\n"
    with pytest.raises(CommandError, match="There is no such dead letter"):
        command("drop-failures", "billing/main", "--id", str(third.pk))
    with pytest.raises(CommandError, match="one of the arguments --id --all is required"):
        command("drop-failures", "billing/main")
    assert command("drop-failures", "billing/main", "--all") == "1 changes are dropped.\n"
    with pytest.raises(CommandError):
        command("retry-failures", "billing/main", "--all")


def test_help_names_every_action(capsys):
    with pytest.raises(SystemExit):
        call_command("pubsubpull_subscriptions", "--help")
    shown = capsys.readouterr().out
    for action in ("list", "pause", "resume", "enable", "retry", "rewind", "failures", "retry-failures"):
        assert action in shown
