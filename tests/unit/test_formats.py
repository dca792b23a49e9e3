"""How notifications are written, and where each change goes, without a database."""

from __future__ import annotations

import asyncio
import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pubsubpull import exceptions
from pubsubpull.delivery import per_key
from pubsubpull.transports.base import Delivered, Gone, Retry, Rewind
from pubsubpull.transports.http import uri_template
from pubsubpull.wire import formats, ops
from pubsubpull.wire.items import Row

TEMPLATE = "https://billing.example/customers/{key}/?m={model}&v={version}"
REFUSED = Retry(error="no", refused=True)
AWAY = Retry(error="away", away=True)


def row(version, key="1", op="U", old=None, new=None):
    head = json.dumps(
        {
            "version": version,
            "transaction": "800",
            "model": "shop.customer",
            "key": key,
            "op": ops.WIRE[op],
            "at": "2026-01-02T03:04:05.678901Z",
            "request": None,
        }
    )
    return Row(version, "shop.customer", op, f'{head[:-1]},"old":{old or "null"},"new":{new or "null"}}}')


def envelope(**given):
    return formats.Envelope(
        **{
            "subscription": "main",
            "previous": "a",
            "cursor": "b",
            "more": True,
            "history": 7,
            **given,
        }
    )


def events(body):
    """Return each event of a batch as parsed by the official package."""
    headers = {"content-type": "application/cloudevents+json"}
    texts = [json.dumps(event).encode() for event in json.loads(body)]
    return [from_structured_event(HTTPMessage(headers=headers, body=text)) for text in texts]


def test_the_official_package_reads_a_batch_of_events():
    rows = [row(8, op="I", new='{"id": 1}'), row(9, old='{"id": 1}', new='{"id": 1}'), row(10, key=None, op="T")]
    body, headers = formats.encode(rows, envelope(), formats.CLOUDEVENTS)
    one, two, three = events(body)
    assert [event.get_id() for event in (one, two, three)] == ["8", "9", "10"]
    assert one.get_source() == "urn:pubsubpull:shop:7"
    assert one.get_type() == "shop.customer.insert"
    assert (one.get_subject(), three.get_subject()) == ("1", None)
    assert one.get_time().isoformat() == "2026-01-02T03:04:05.678901+00:00"
    assert one.get_data() == {"old": None, "new": {"id": 1}}
    assert [event.get_extension("sequence") for event in (one, two)] == ["0" * 19 + "8", "0" * 19 + "9"]
    assert headers["content-type"].startswith("application/cloudevents-batch+json")
    assert (headers["pubsubpull-previous"], headers["pubsubpull-cursor"]) == ("a", "b")


def test_a_single_event_is_no_batch():
    body, headers = formats.encode([row(8)], envelope(single=True), formats.CLOUDEVENTS)
    event = from_structured_event(HTTPMessage(headers=dict(headers), body=body))
    assert event.get_id() == "8"
    assert headers["content-type"].startswith("application/cloudevents+json")


@pytest.mark.parametrize("form", formats.FORMATS)
def test_rows_are_passed_on_as_they_are(form):
    text = '{"n": 12345678901234567890.123456789012345678901, "t": ",\\"old\\":", "f": 1e400}'
    body, _ = formats.encode([row(8, key=',"old":', new=text)], envelope(), form)
    assert text in body.decode()
    assert json.loads(body)


def test_snapshots_of_rows_that_never_changed_have_ids_of_their_own():
    texts = [row(0, key=key).item.replace('"update"', '"snapshot"') for key in "12"]
    rows = [Row(number, "shop.customer", "S", text) for number, text in zip((-5, -6), texts, strict=True)]
    body, _ = formats.encode(rows, envelope(), formats.CLOUDEVENTS)
    assert [(event["id"], int(event["sequence"])) for event in json.loads(body)] == [("-5", 0), ("-6", 0)]


def test_rows_say_of_which_model_they_are_the_first_and_the_last():
    snapshot = formats.Snapshot(id="5f", model="shop.customer", first=True, last=False)
    told = envelope(previous=None, more=None, snapshot=snapshot)
    body, _ = formats.encode([], told, formats.PAGE_FORMAT)
    assert json.loads(body) == {
        "subscription": "main",
        "cursor": "b",
        "snapshot": {"id": "5f", "model": "shop.customer", "first": True, "last": False},
        "items": [],
    }
    body, headers = formats.encode([], told, formats.CLOUDEVENTS)
    assert body == b"[]"
    assert {name: text for name, text in headers.items() if name.startswith("pubsubpull-")} == {
        "pubsubpull-subscription": "main",
        "pubsubpull-cursor": "b",
        "pubsubpull-snapshot-id": "5f",
        "pubsubpull-snapshot-model": "shop.customer",
        "pubsubpull-snapshot-first": "true",
        "pubsubpull-snapshot-last": "false",
    }


@pytest.mark.parametrize("form", formats.FORMATS)
def test_one_change_says_nothing_of_cursors(form):
    body, headers = formats.encode([row(8)], envelope(previous=None, cursor=None, more=None, single=True), form)
    said = {name for name in headers if name.startswith("pubsubpull-")} | set(json.loads(body))
    assert said.isdisjoint(
        {"previous", "cursor", "more", "pubsubpull-previous", "pubsubpull-cursor", "pubsubpull-more"}
    )


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text not in {".", ".."}))
def test_no_key_leaves_its_place_in_a_url(key):
    try:
        url = URL(uri_template.expand(TEMPLATE, model="shop.customer", key=key, version=3))
    except uri_template.Unexpandable:
        assert len(key) > 100
    else:
        assert url.raw_parts[:2] == ("/", "customers")
        assert (url.parts[2], len(url.raw_parts)) == (key, 4)
        assert dict(url.query) == {"m": "shop.customer", "v": "3"}


@pytest.mark.parametrize("key", [".", "..", "x" * 2000])
def test_a_key_that_no_url_can_hold_is_said_to_be_so(key):
    with pytest.raises(uri_template.Unexpandable):
        uri_template.expand("https://a.example/{key}", model="m.m", key=key, version=1)


def test_a_truncate_has_no_key():
    assert uri_template.expand("https://a.example/{key}", model="m.m", key=None, version=1) == "https://a.example/"


@pytest.mark.parametrize(
    ("callback", "stem"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example/x/{key}/y", "https://a.example/x/"),
        ("https://a.example/x{key}", "https://a.example/"),
        ("https://a.example/x?a=b&k={key}", "https://a.example/x"),
    ],
)
def test_consent_is_asked_for_where_no_variable_decides(callback, stem):
    assert uri_template.stem(callback) == stem


@pytest.mark.parametrize("template", ["https://a.example/{name}", "https://a.example/{}", "https://a.example/{key"])
def test_a_template_that_cannot_be_expanded_names_the_field(template):
    with pytest.raises(exceptions.SubscriptionError) as caught:
        uri_template.check(template)
    assert caught.value.field == "callback"


class Receiver:
    """Accepts every item without an entry in `answers`; counts concurrent deliveries."""

    def __init__(self, **answers):
        self.answers = answers
        self.taken = []
        self.now = self.most = 0

    async def send(self, one):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        answer = self.answers.get(f"v{one.version}", Delivered())
        if isinstance(answer, Delivered):
            self.taken.append(one.version)
        return answer

    def spread(self, rows, *, width=2, done=(), over=lambda: False):
        self.done = set(done)
        return asyncio.run(per_key.PerKey(send=self.send, width=width, over=over, done=self.done).run(rows))


def test_keys_go_at_the_same_time_and_each_in_its_order():
    receiver = Receiver()
    rows = [row(n, key=str(n % 3)) for n in range(1, 10)]
    assert receiver.spread(rows) == Delivered()
    assert sorted(receiver.taken) == list(range(1, 10))
    assert receiver.most == 2
    for key in range(3):
        mine = [version for version in receiver.taken if version % 3 == key]
        assert mine == sorted(mine)


def test_a_key_that_is_refused_goes_no_further_and_the_others_do():
    receiver = Receiver(v2=REFUSED)
    rows = [row(n, key=str(n % 2)) for n in range(1, 7)]
    assert receiver.spread(rows) == REFUSED
    assert receiver.taken == [1, 3, 5]
    receiver.answers = {}
    assert receiver.spread(rows, done=receiver.done) == Delivered()
    assert receiver.taken == [1, 3, 5, 2, 4, 6], "none is sent twice"


@pytest.mark.parametrize("op", ["T", "O"])
def test_a_change_of_a_whole_model_waits_for_all_before_it_and_all_after_it_wait(op):
    receiver = Receiver()
    rows = [row(1, key="a"), row(2, key="b"), row(3, key=None, op=op), row(4, key="a")]
    assert receiver.spread(rows, width=9) == Delivered()
    assert receiver.taken == [1, 2, 3, 4]
    receiver = Receiver(v2=REFUSED)
    assert receiver.spread(rows, width=9) == REFUSED
    assert receiver.taken == [1]


@pytest.mark.parametrize("answer", [AWAY, Gone(), Retry(error="busy", after=5.0)])
def test_an_answer_about_more_than_one_change_ends_it(answer):
    receiver = Receiver(v1=answer)
    assert receiver.spread([row(n, key=str(n)) for n in range(1, 9)], width=1) == answer
    assert receiver.taken == []


def test_a_broken_off_answer_says_so_unless_all_was_taken():
    receiver = Receiver()
    rows = [row(n, key=str(n)) for n in (1, 2)]
    assert receiver.spread(rows, over=lambda: bool(receiver.taken), width=1) is None
    assert receiver.taken == [1]
    receiver = Receiver()
    assert receiver.spread(rows[:1], over=lambda: bool(receiver.taken)) == Delivered()


def test_the_answer_that_decides_comes_first():
    rewind = Rewind(cursor=None)
    assert per_key.worst([REFUSED, rewind, Gone()]) == Gone()
    assert per_key.worst([REFUSED, rewind]) == rewind
    assert per_key.worst([REFUSED, AWAY]) == AWAY
    assert per_key.worst([]) is None
