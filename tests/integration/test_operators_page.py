"""The operators' page of the admin: its content, its buttons and its permissions."""

from __future__ import annotations

import datetime as dt
import functools
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.utils import timezone

from pubsubpull.log import feed
from pubsubpull.log.cursor import Cursor
from pubsubpull.models import Failure, Host, Sample, Subscription, Worker
from pubsubpull.operate import samples
from pubsubpull.pages import dead_letters, state
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests import factories
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/pubsubpull/subscription/"


@pytest.fixture
def boss(client):
    return factories.log_in_superuser(client)


@pytest.fixture
def clerk(client):
    """Log in a member of the staff with the permissions `allow`."""
    client.allow = functools.partial(factories.grant, factories.log_in_staff(client))
    return client


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer"], may_subscribe=True)[0]


@pytest.fixture
def made(consumer):
    return put(consumer)


def put(consumer, name="main", **fields):
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/secret/path", models=["shop.customer"])
    one = service.put(consumer, name, wish)[0]
    Subscription.objects.filter(pk=one.pk).update(**fields)
    one.refresh_from_db()
    return one


def page(client, status=200, path=PAGE, **query):
    answer = client.get(path, query)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


def plain(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def press(client, one, action, **given):
    """Press a button; return the messages of the next page."""
    answer = client.post(f"{PAGE}{one.pk}/{action}/", given, follow=True)
    assert answer.status_code == 200
    assert answer.redirect_chain[0][0].startswith(PAGE)
    one.refresh_from_db()
    return plain(answer.content.decode())


def test_a_subscription_is_shown_with_state_lag_error_and_next_attempt(boss, made):
    Customer.objects.create(name="a")
    Subscription.objects.update(
        state="failing", attempts=3, last_error="The receiver answered <500>.", next_attempt="2030-01-01T00:00-06:00"
    )
    Failure.objects.create(
        subscription=made, version=1, model="shop.customer", op="I", item="{}", attempts=8, error="x"
    )
    html = page(boss)
    text = plain(html)
    assert "Name State Actions Behind" in text
    assert "billing/ main 127.0.0.1:9 failing 1 set aside of billing/main" in text
    assert "at most 1 change " in text
    assert "The receiver answered &lt;500&gt;." in html
    assert "2030-01-01 00:00:00 after 3 failed" in text
    assert "secret/path" not in html
    assert service.secret_of(made) not in html


def test_a_rate_is_of_the_last_minute(boss, made):
    Subscription.objects.update(delivered=700)
    at = timezone.now() - dt.timedelta(seconds=70)
    details = {"subscriptions": {str(made.pk): 0}, "tables": None}
    Sample.objects.create(at=at, captured=1, delivered=1, bytes=1, details=details)
    rate = re.search(r"no change ([\d.]+) —", plain(page(boss)))[1]
    assert 5 < float(rate) <= 10


def test_a_subscription_of_a_consumer_that_may_no_longer_subscribe_is_marked(boss, made):
    assert "its consumer may not" not in page(boss)
    made.consumer.active = False
    made.consumer.save()
    assert "its consumer may not subscribe" in page(boss)


def test_those_that_fare_worst_come_first_a_page_at_a_time(boss, consumer):
    cursor = feed.present().start().encode()
    many = [
        Subscription(
            consumer=consumer,
            name=f"s{n:02}",
            callback="http://a.example/",
            labels=[],
            ops=[],
            batch=1,
            secrets=[],
            cursor=cursor,
            last_sent_cursor=cursor,
        )
        for n in range(state.SHOWN_A_PAGE + 5)
    ]
    Subscription.objects.bulk_create(many)
    put(consumer, "ill", state="failing")
    put(consumer, "gone", state="disabled")
    first, second = page(boss), page(boss, page="2")
    names = re.findall(r"billing/<wbr>([a-z0-9]+)<br>", first)
    assert names[:3] == ["gone", "ill", "s00"]
    assert len(names) == state.SHOWN_A_PAGE
    rest = [f"s{n}" for n in range(state.SHOWN_A_PAGE - 2, state.SHOWN_A_PAGE + 5)]
    assert re.findall(r"billing/<wbr>([a-z0-9]+)<br>", second) == rest
    assert page(boss, page="99") != first
    assert "1 disabled" in first
    assert f"{state.SHOWN_A_PAGE + 5} active" in first


def test_they_are_found_by_name_and_state(boss, consumer):
    put(consumer, "orders")
    put(consumer, "stock", state="paused")
    html = page(boss, q="ORD")
    assert "billing/<wbr>orders<br>" in html
    assert "billing/<wbr>stock<br>" not in html
    html = page(boss, state="paused")
    assert "billing/<wbr>orders<br>" not in html
    assert "billing/<wbr>stock<br>" in html
    assert "billing/<wbr>orders<br>" in page(boss, state="nonsense", page="x")


def test_a_subscription_is_paused_and_resumed_from_the_same_page(boss, made):
    text = press(boss, made, "pause")
    assert "billing/main is paused." in text
    assert made.state == "paused"
    answer = boss.post(f"{PAGE}{made.pk}/resume/?q=main")
    assert (answer.status_code, answer.url) == (302, f"{PAGE}?q=main")
    made.refresh_from_db()
    assert made.state == "active"
    assert [(e.user.username, e.object_repr, e.change_message) for e in LogEntry.objects.order_by("pk")] == [
        ("boss", "main", "pause"),
        ("boss", "main", "resume"),
    ]


def test_retrying_a_failing_subscription_tries_its_host_at_once(boss, made):
    Subscription.objects.update(state="failing", next_attempt="2030-01-01T00:00Z")
    Host.objects.create(host="127.0.0.1:9", failures=9, began=timezone.now(), retry_at=timezone.now(), error="refused")
    assert "127.0.0.1:9: 9 failures in a row" in plain(page(boss))
    press(boss, made, "retry")
    assert made.next_attempt is None
    assert not Host.objects.exists()


def test_a_disabled_subscription_is_enabled(boss, made):
    Subscription.objects.update(state="disabled", last_error="gone")
    press(boss, made, "enable")
    assert (made.state, made.last_error) == ("active", "")


def test_an_action_the_state_forbids_is_not_offered_and_is_refused(boss, made):
    assert f"{made.pk}/resume/" not in page(boss)
    assert "main is not paused: it is active." in press(boss, made, "resume")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("active", ("pause",)),
        ("unverified", ("retry", "pause")),
        ("failing", ("retry", "pause")),
        ("paused", ("resume",)),
        ("disabled", ("enable",)),
        ("unsubscribed", ("enable",)),
        ("lapsed", ()),
    ],
)
def test_each_state_has_its_buttons(given, expected):
    assert state.actions(given) == expected


def test_rewinding_explains_itself_first(boss, made):
    Customer.objects.create(name="a")
    text = plain(page(boss, path=f"{PAGE}{made.pk}/rewind/"))
    assert "Rewind billing/main" in text
    assert "at most 1 change behind" in text
    assert "the log begins at" in text


def test_a_subscription_is_rewound_to_the_start_to_now_and_to_a_cursor(boss, made):
    Customer.objects.create(name="a")
    there = made.cursor
    assert "goes on from there" in press(boss, made, "rewind", position="start")
    assert made.cursor == feed.present().start().encode()
    press(boss, made, "rewind", position="now")
    assert Cursor.decode(made.cursor).seq == feed.present().seq
    press(boss, made, "rewind", position="cursor", cursor=there)
    assert made.cursor == there
    assert made.lease == 3
    assert LogEntry.objects.count() == 3


def test_a_subscription_rewound_to_a_moment_gets_everything_since_again(boss, made):
    for name in "abc":
        Customer.objects.create(name=name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM pubsubpull_change")
        last = cursor.fetchone()[0]
        cursor.execute("UPDATE pubsubpull_change SET at = at - interval '1 day' WHERE id < %s", [last])
    moment = timezone.now() - dt.timedelta(hours=2)
    press(boss, made, "rewind", position="moment", moment=timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M"))
    found = feed.page(Cursor.decode(made.cursor), models=["shop.customer"], limit=10)
    assert re.findall(rb'"version":(\d+)', found.items) == [str(last).encode()]
    Customer.objects.create(name="d")
    later = feed.page(found.cursor, models=["shop.customer"], limit=10)
    assert later.count == 1


def test_where_django_knows_no_zones_times_are_those_of_its_own(boss, made, settings):
    settings.USE_TZ = False
    samples.take("default")
    Customer.objects.create(name="a")
    local = timezone.localtime(dt.datetime.now(tz=dt.UTC)).strftime("%Y-%m-%d %H:")
    html = page(boss, path=f"{PAGE}{made.pk}/rewind/")
    assert f"the log begins at {local}" in html
    press(boss, made, "rewind", position="moment", moment="2001-01-01T00:00")
    assert feed.page(Cursor.decode(made.cursor), models=["shop.customer"], limit=10).count == 1
    assert f"<span>{local[-3:]}" in page(boss)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "This field is required"),
        ({"position": "moment"}, "Say which moment."),
        ({"position": "moment", "moment": "soon"}, "Enter a valid date/time."),
        ({"position": "cursor"}, "Say which cursor."),
        ({"position": "cursor", "cursor": "nonsense"}, "must be a cursor"),
        ({"position": "elsewhere"}, "Select a valid choice"),
    ],
)
def test_a_place_that_is_none_is_refused_with_the_reason(boss, made, given, reason):
    answer = boss.post(f"{PAGE}{made.pk}/rewind/", {"position": "", **given})
    assert reason in answer.content.decode()
    before = made.cursor
    made.refresh_from_db()
    assert made.cursor == before


def test_a_cursor_of_another_history_is_refused(boss, made):
    import dataclasses

    cursor = dataclasses.replace(feed.present().cursor(), history=99).encode()
    answer = boss.post(f"{PAGE}{made.pk}/rewind/", {"position": "cursor", "cursor": cursor})
    assert "another history of the log" in answer.content.decode()


def test_seeing_takes_the_permission_to_view_and_the_buttons_that_to_change(clerk, made):
    page(clerk, 403)
    clerk.allow("view_subscription")
    html = page(clerk)
    assert "billing/<wbr>main" in html
    assert "/pause/" not in html
    assert "/rewind/" not in html
    for action in ("pause", "retry", "rewind"):
        assert clerk.post(f"{PAGE}{made.pk}/{action}/", {"position": "now"}).status_code == 403
    page(clerk, 403, path=f"{PAGE}{made.pk}/rewind/")
    clerk.allow("change_subscription")
    assert "/pause/" in page(clerk)
    press(clerk, made, "pause")
    assert made.state == "paused"


def test_a_button_takes_post_and_a_token_against_forgery(boss, made):
    page(boss, 405, path=f"{PAGE}{made.pk}/pause/")
    boss.handler.enforce_csrf_checks = True
    assert boss.post(f"{PAGE}{made.pk}/pause/").status_code == 403
    assert boss.post(f"{PAGE}{made.pk}/rewind/", {"position": "start"}).status_code == 403
    made.refresh_from_db()
    assert made.state == "active"


def test_a_subscription_that_is_gone_is_not_found_and_none_is_made_or_deleted(boss, made):
    made.delete()
    assert boss.post(f"{PAGE}{made.pk}/pause/").status_code == 404
    for path in ("add/", f"{made.pk}/change/", f"{made.pk}/delete/"):
        page(boss, 404, path=PAGE + path)


def test_captured_tables_are_shown_with_the_faults_of_their_triggers(boss):
    before = plain(page(boss))
    assert re.search(r"shop\.customer public\.shop_customer in place statement [\d.]+ kB", before)
    with connection.cursor() as cursor:
        cursor.execute('ALTER TABLE shop_customer DISABLE TRIGGER "00_pubsubpull_update"')
        cursor.execute('DROP TRIGGER "00_pubsubpull_delete" ON shop_order')
        try:
            text = plain(page(boss))
        finally:
            cursor.execute('ALTER TABLE shop_customer ENABLE TRIGGER "00_pubsubpull_update"')
            from pubsubpull.capture import syncing

            syncing.sync()
    assert "public.shop_customer Not in place: replace 00_pubsubpull_update" in text
    assert "public.shop_order Not in place: create 00_pubsubpull_delete; run manage.py pubsubpull_triggers" in text


def test_a_published_model_without_a_table_is_shown(boss):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shop_stock RENAME TO shop_stock_elsewhere")
        try:
            text = plain(page(boss))
        finally:
            cursor.execute("ALTER TABLE shop_stock_elsewhere RENAME TO shop_stock")
    assert "shop.stock — Not in place: it has no table here; run manage.py migrate" in text


def test_workers_that_are_alive_are_named(boss):
    assert "No worker is alive." in plain(page(boss))
    for name, minutes in (("alive", 1), ("dead", -1)):
        Worker.objects.create(name=name, expires=timezone.now() + dt.timedelta(minutes=minutes))
    text = plain(page(boss))
    assert "1 worker alive." in text
    assert "alive, since" in text
    assert "dead, since" not in text


def test_pictures_are_drawn_of_samples(boss):
    assert "Nothing to draw yet" in page(boss)
    now = timezone.now().replace(microsecond=0)
    for minutes in range(1, 9):
        at = now - dt.timedelta(minutes=10 - minutes)
        Sample.objects.create(at=at, captured=600 * minutes, delivered=300 * minutes, bytes=10**6)
    html = page(boss)
    assert "captured 10 last, 10 at most; delivered 5 last, 5 at most" in html
    assert len(re.findall(r'<polyline class="psp-line psp-line-[ab]" points="[\d., ]{20,}"', html)) == 2
    assert "size 1 MB last" in html


def test_the_picture_of_the_lag_has_those_that_wait_longest_first(boss, consumer):
    for number in range(3):
        put(consumer, f"s{number}", state="paused")
        Customer.objects.create(name=str(number))
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(id) FROM pubsubpull_change")
        cursor.execute(
            "UPDATE pubsubpull_change SET at = at - make_interval(hours => 10 - (id - %s)::int)", cursor.fetchone()
        )
    html = page(boss)
    bars = re.findall(r'<th scope="row">billing/(s\d)</th><td>([^<]+)</td>.*?width="([\d.]+)"', html)
    assert [name for name, *_ in bars] == ["s0", "s1", "s2"]
    assert [lag for _, lag, _ in bars] == ["10.0 h", "9.0 h", "8.0 h"]
    assert bars[0][2] == "100.0"
    assert float(bars[2][2]) == pytest.approx(80, abs=1)


def set_aside(one, version=1, **given):
    item = (
        f'{{"version":{version},"transaction":"7","model":"shop.customer","key":"17","op":"insert","at":"2026-01-01T00:00:00Z",'
        '"request":null,"old":null,"new":{"name": "not to be seen"}}'
    )
    given = {
        "attempts": 8,
        "error": "The receiver answered 422.",
        "status": 422,
        "answer": "<no such customer>",
        **given,
    }
    return Failure.objects.create(
        subscription=one, version=version, model="shop.customer", op="insert", item=item, **given
    )


def test_dead_letters_are_listed_without_the_rows_values(boss, made, consumer):
    set_aside(made)
    set_aside(put(consumer, "other"), version=2)
    assert f'href="{made.pk}/failures/"' in page(boss)
    html = page(boss, path=f"{PAGE}{made.pk}/failures/")
    text = plain(html)
    assert "insert shop.customer 17 version 1" in text
    assert "8 attempts 422 The receiver answered 422. &lt;no such customer&gt;" in text
    assert "not to be seen" not in html
    assert "version 2" not in text


def test_dead_letters_come_in_pages_oldest_first(boss, made):
    for version in range(dead_letters.DEAD_LETTERS_A_PAGE + 1, 0, -1):
        set_aside(made, version=version)
    path = f"{PAGE}{made.pk}/failures/"
    first, last = plain(page(boss, path=path)), plain(page(boss, path=path, page="2"))
    assert first.index("version 1 ") < first.index("version 2 ")
    assert f"{dead_letters.DEAD_LETTERS_A_PAGE + 1}, the oldest first; page 1 of 2." in first
    assert [
        f"version {n} " in last for n in (dead_letters.DEAD_LETTERS_A_PAGE, dead_letters.DEAD_LETTERS_A_PAGE + 1)
    ] == [False, True]


def test_a_change_that_is_set_aside_is_sent_again(boss, made):
    one, other = set_aside(made), set_aside(made, version=2)
    assert f"Change {one.pk} is sent again" in press(boss, made, f"failures/{one.pk}/retry")
    assert list(Failure.objects.filter(retrying=True)) == [one]
    html = page(boss, path=f"{PAGE}{made.pk}/failures/")
    assert f'action="{one.pk}/retry/"' not in html
    assert f'action="{other.pk}/retry/"' in html
    assert LogEntry.objects.get().change_message == f"retry change {one.pk}"


def test_a_change_that_is_set_aside_is_dropped_once_that_is_confirmed(boss, made):
    one, other = set_aside(made), set_aside(made, version=2)
    text = plain(page(boss, path=f"{PAGE}{made.pk}/failures/{one.pk}/drop/"))
    assert "The receiver never gets this change: insert shop.customer 17, version 1." in text
    assert Failure.objects.count() == 2
    assert f"Change {one.pk} is dropped" in press(boss, made, f"failures/{one.pk}/drop")
    assert list(Failure.objects.all()) == [other]
    assert LogEntry.objects.get().change_message == f"drop change {one.pk}"


def test_dead_letter_actions_need_the_pages_permissions_and_a_csrf_token(clerk, made):
    one = set_aside(made)
    path = f"{PAGE}{made.pk}/failures/"
    page(clerk, 403, path=path)
    clerk.allow("view_subscription")
    html = page(clerk, path=path)
    assert "shop.customer 17" in html
    assert "/retry/" not in html
    assert "/drop/" not in html
    for action in ("retry", "drop"):
        assert clerk.post(f"{path}{one.pk}/{action}/").status_code == 403
    page(clerk, 403, path=f"{path}{one.pk}/drop/")
    clerk.allow("change_subscription")
    page(clerk, 405, path=f"{path}{one.pk}/retry/")
    clerk.handler.enforce_csrf_checks = True
    for action in ("retry", "drop"):
        assert clerk.post(f"{path}{one.pk}/{action}/").status_code == 403
    one.refresh_from_db()
    assert not one.retrying


def test_of_another_subscription_nothing_is_retried_or_dropped(boss, made, consumer):
    one = set_aside(put(consumer, "other"))
    for action in ("retry", "drop"):
        assert boss.post(f"{PAGE}{made.pk}/failures/{one.pk}/{action}/").status_code == 404
    one.refresh_from_db()
    assert not one.retrying
