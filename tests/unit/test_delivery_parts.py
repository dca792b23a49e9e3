"""The parts of delivery that decide without a database: signatures, outcomes, back-off, and how pages are cut."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pubsubpull import exceptions
from pubsubpull.base import backoff
from pubsubpull.delivery import notification
from pubsubpull.delivery.assignment import share
from pubsubpull.log.cursor import Cursor, Snapshot, Window
from pubsubpull.log.feed import Rows
from pubsubpull.log.reading import Reading
from pubsubpull.transports.base import HOLD_LIMIT, Delivered, Gone, Retry, Rewind
from pubsubpull.transports.http.answers import outcome, retry_after
from pubsubpull.transports.http.client import Response
from pubsubpull.wire import signing
from pubsubpull.wire.items import Row

NOW = 1_700_000_000.0
CURSOR = Cursor(history=1, tick=1, seq=10, floor=0, snapshot=Snapshot(xmin=5, xmax=5))
WINDOW = Window(seq=100, floor=0, snapshot=Snapshot(xmin=50, xmax=50), last=0, top=100)

STYLE = notification.Style(subscription="s", name='na"me')


def signed(secrets, body=b"{}", at=NOW):
    return signing.headers(secrets, notification="msg_1", timestamp=int(at), body=body)


def test_the_official_package_verifies_a_signature_of_each_of_two_secrets():
    secrets = [signing.new_secret(), signing.new_secret()]
    now = datetime.datetime.now(tz=datetime.UTC).timestamp()
    headers = signed(secrets, b'{"a":1}', now)
    for secret in secrets:
        assert Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(b'{"a":1}', headers)


def test_verify_accepts_only_the_signed_message():
    one, other = signing.new_secret(), signing.new_secret()
    headers = signed([one, other], b"body")
    assert signing.verify([other], headers=headers, body=b"body", now=NOW)
    assert not signing.verify([signing.new_secret()], headers=headers, body=b"body", now=NOW)
    assert not signing.verify([one], headers=headers, body=b"another", now=NOW)
    assert not signing.verify([one], headers={**headers, "webhook-id": "msg_2"}, body=b"body", now=NOW)
    later = {**headers, "webhook-signature": headers["webhook-signature"].replace("v1", "v2")}
    assert not signing.verify([one], headers=later, body=b"body", now=NOW)
    for name in headers:
        assert not signing.verify([one], headers={**headers, name: ""}, body=b"body", now=NOW)


@pytest.mark.parametrize(("late", "fits"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_verify_allows_a_clock_that_is_a_little_off(late, fits):
    secret = signing.new_secret()
    assert signing.verify([secret], headers=signed([secret]), body=b"{}", now=NOW + late) is fits


@pytest.mark.parametrize("timestamp", ["x", "-5", "1" * 400, "²"])
def test_verify_refuses_a_timestamp_that_is_no_number(timestamp):
    secret = signing.new_secret()
    headers = {**signed([secret]), "webhook-timestamp": timestamp}
    assert not signing.verify([secret], headers=headers, body=b"{}", now=NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_???",
        "whsec_é",
        base64.b64encode(b"x" * 32).decode(),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)
def test_an_invalid_secret_is_refused_without_being_shown(secret):
    with pytest.raises(exceptions.SubscriptionError) as caught:
        signing.key(secret)
    assert caught.value.field == "secret"
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)


def test_a_secret_may_have_24_to_64_bytes():
    for size in (24, 64):
        assert len(signing.key("whsec_" + base64.b64encode(b"x" * size).decode())) == size


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_every_2xx_is_delivered(status):
    assert outcome(Response(status=status), now=NOW) == Delivered()


@pytest.mark.parametrize("status", [100, 199, 300, 304, 400, 401, 404, 408, 500, 502, 599])
def test_everything_else_is_tried_again(status):
    result = outcome(Response(status=status, headers={"retry-after": "9"}), now=NOW)
    assert isinstance(result, Retry)
    assert result.after == 0
    assert str(status) in result.error


def test_a_redirect_is_not_followed_and_the_error_says_so():
    assert "redirect" in outcome(Response(status=302), now=NOW).error


def test_410_means_gone():
    assert isinstance(outcome(Response(status=410), now=NOW), Gone)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_holds_for_429_and_503(status):
    result = outcome(Response(status=status, headers={"retry-after": "17"}), now=NOW)
    assert isinstance(result, Retry)
    assert result.after == 17


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0),
        ("99999999999999999", HOLD_LIMIT),
        ("Tue, 14 Nov 2033 22:13:50 GMT", HOLD_LIMIT),
        ("", 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("Tue, 99 Nov 2023 99:99:99 GMT", 0),
        ("²", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(value, now=NOW) == seconds


def test_409_with_a_cursor_goes_on_from_there():
    body = json.dumps({"cursor": CURSOR.encode()}).encode()
    result = outcome(Response(status=409, body_start=body), now=NOW)
    assert isinstance(result, Rewind)
    assert result.cursor == CURSOR


@pytest.mark.parametrize(
    "body", [b"", b"no", b"\xff", b"[]", b"{}", b'{"cursor": 1}', b'{"cursor": "no"}', b"null", b"[" * 50_000]
)
def test_409_without_a_usable_cursor_is_a_failure_that_says_so(body):
    result = outcome(Response(status=409, body_start=body), now=NOW)
    assert isinstance(result, Retry)
    assert "409" in result.error


def test_back_off_doubles_up_to_the_limit_and_is_drawn_evenly():
    longest = [backoff.delay(n, first=1, limit=60, random=lambda: 1.0) for n in range(1, 9)]
    assert longest == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.delay(5000, first=1, limit=60, random=lambda: 1.0) == 60
    assert backoff.delay(3, first=1, limit=60, random=lambda: 0.25) == 1


def test_a_share_is_rounded_up_and_needs_no_other_worker():
    assert [share(subscriptions=10, workers=n) for n in (0, 1, 3, 20)] == [10, 10, 4, 1]
    assert share(subscriptions=0, workers=2) == 0


def read(*versions, size=1, window=WINDOW):
    rows = tuple(Row(v, "shop.customer", "I", json.dumps("x" * size)) for v in versions)
    reading = Reading(after=CURSOR, window=window, high=window.top, restored=0)
    return Rows(rows=rows, cursor=reading.next(window.top)[0], more=False, reading=reading)


def pending(*reads):
    waiting = notification.Pending()
    for one in reads:
        waiting.add(one, list(one.rows))
    return waiting


def cut(waiting, batch):
    return waiting.cut(batch=batch, style=STYLE, previous="before")


def test_a_read_is_cut_into_batches_each_with_its_own_cursor():
    one = read(11, 12, 13)
    waiting = pending(one)
    first, second = cut(waiting, 2), cut(waiting, 2)
    assert (first.count, second.count, waiting.count) == (2, 1, 0)
    assert first.cursor.window is not None
    assert first.cursor.window.last == 12
    assert second.cursor == one.cursor
    assert json.loads(first.body) == {
        "subscription": 'na"me',
        "previous": "before",
        "cursor": first.cursor.encode(),
        "more": True,
        "items": ["x", "x"],
    }
    assert json.loads(second.body)["more"] is False


def test_several_reads_fill_one_notification():
    waiting = pending(read(11, 12), read(13, 14, 15))
    one = cut(waiting, 4)
    assert one.count == 4
    assert one.cursor.window is not None
    assert one.cursor.window.last == 14
    assert cut(waiting, 4).count == 1


def test_a_subscription_with_few_matches_is_past_the_whole_read():
    one = read(11, 12, 13)
    waiting = notification.Pending()
    waiting.add(one, [one.rows[0]])
    assert cut(waiting, 10).cursor == one.cursor


def test_a_notification_is_bounded_in_size_but_for_a_single_large_change():
    large = notification.NOTIFICATION_SIZE
    waiting = pending(read(11, 12, size=large), read(13, size=large), read(14), read(15))
    assert [cut(waiting, 100).count for _ in range(4)] == [1, 1, 1, 2]


def test_cleared_changes_are_not_sent():
    waiting = pending(read(11, 12))
    waiting.clear()
    assert waiting.count == 0


def test_the_id_is_of_the_subscription_and_the_changes_in_it():
    first, again = cut(pending(read(11, 12)), 2), cut(pending(read(11, 12)), 2)
    assert first.id == again.id
    assert len({notification.identify(*what) for what in [("a", [1]), ("b", [1]), ("a", [1, 2]), ("a", [12])]}) == 4
