"""Rules for every transport: a message goes in, an outcome comes out, and no secret comes with it."""

from __future__ import annotations

import asyncio
import contextlib
import time

import hypothesis
import pytest
from hypothesis import strategies
from standardwebhooks import Webhook

from pubsubpull import exceptions
from pubsubpull.log.cursor import Cursor, Snapshot
from pubsubpull.transports.base import (
    ANSWER_KEPT,
    HOLD_LIMIT,
    ChangeRef,
    Delivered,
    Gone,
    Key,
    Message,
    Ready,
    Retry,
    Rewind,
    Target,
)
from pubsubpull.transports.keys import UNREADABLE
from pubsubpull.wire import signing
from tests import transport_rigs
from tests.processes import connected_to, until

KEY = signing.new_secret()
CURSOR = Cursor(history=1, tick=1, seq=10, floor=0, snapshot=Snapshot(xmin=5, xmax=5))
SINGLE = ChangeRef(model="shop.customer", key="a/b", version=7)


def page(number=1, **changes):
    given = {"body": b'{"items": []}', "content_type": "application/json", "attributes": {"traceparent": "00-1"}}
    return Message(id=f"msg_{number}", **{**given, **changes})


@pytest.fixture(params=transport_rigs.RIGS)
def rig(request):
    with transport_rigs.rigged(request.param) as made:
        yield made


def needs(*abilities):
    """Run a test only with rigs whose receivers have the needed abilities."""
    able = [name for name, made in transport_rigs.RIGS.items() if made.can.issuperset(abilities)]
    return pytest.mark.parametrize("rig", able, indirect=True)


def target(address, *texts, until=None):
    return Target(address=address, keys=tuple(Key(text=text, until=until) for text in texts or (KEY,)))


@contextlib.asynccontextmanager
async def opened(transport):
    try:
        yield transport
    finally:
        await transport.close()


def send(rig, *messages, to=None, transport=None):
    """Send messages one after the other, through a transport of its own; return the outcomes, checked."""

    async def main():
        async with opened(transport or rig.transport()) as one:
            return [await one.send(to or target(rig.address), message) for message in messages or [page()]]

    outcomes = asyncio.run(main())
    for outcome in outcomes:
        assert is_fit(outcome)
        assert "rewind" in rig.can or not isinstance(outcome, Rewind)
    return outcomes


def is_fit(outcome):
    """True if an outcome's texts may be shown to its consumer, and stored."""
    assert isinstance(outcome, Delivered | Rewind | Gone | Retry | Ready)
    shown = repr(outcome)
    assert KEY not in shown
    assert KEY.removeprefix(signing.HMAC_PREFIX) not in shown
    assert transport_rigs.SECRET not in shown
    assert "\0" not in getattr(outcome, "answer", "")
    assert len(getattr(outcome, "answer", "")) <= ANSWER_KEPT
    assert len(getattr(outcome, "error", "")) <= ANSWER_KEPT
    if isinstance(outcome, Retry):
        assert outcome.error.endswith("."), "it is a sentence"
        assert 0 <= outcome.after <= HOLD_LIMIT
        assert outcome.away + outcome.refused <= 1, "a receiver that gave no answer has refused nothing"
    return True


def test_an_accepted_message_is_delivered_and_comes_whole_and_signed(rig):
    assert send(rig) == [Delivered()]
    ((id_, body, attributes),) = rig.received()
    assert (id_, body) == ("msg_1", page().body)
    assert attributes["content-type"] == "application/json"
    assert attributes["traceparent"] == "00-1"
    assert Webhook(KEY).verify(body, attributes) == {"items": []}


def test_all_keys_that_have_not_ended_sign(rig):
    other = signing.new_secret()
    send(rig, to=target(rig.address, KEY, other))
    ((_, body, attributes),) = rig.received()
    for key in (KEY, other):
        assert Webhook(key).verify(body, attributes) == {"items": []}


@pytest.mark.parametrize("keys", [(), (Key(text=KEY, until=1.0),)])
def test_without_a_key_nothing_is_sent_and_nothing_is_said_of_the_endpoint(rig, keys):
    assert send(rig, to=Target(address=rig.address, keys=keys)) == [Retry(error=UNREADABLE, unsent=True)]
    assert rig.received() == []


def test_messages_that_are_sent_one_after_the_other_come_in_order(rig):
    assert send(rig, *map(page, range(20))) == [Delivered()] * 20
    assert [id_ for id_, _, _ in rig.received()] == [f"msg_{number}" for number in range(20)]


def test_many_may_be_on_their_way_at_once(rig):
    async def main():
        async with opened(rig.transport()) as transport:
            sending = [transport.send(target(rig.address), page(number)) for number in range(40)]
            return await asyncio.gather(*sending)

    assert asyncio.run(main()) == [Delivered()] * 40
    assert len({id_ for id_, _, _ in rig.received()}) == 40


def test_a_large_body_comes_whole(rig):
    body = b'{"items": ["' + b"x" * 3_000_000 + b'"]}'
    assert send(rig, page(body=body)) == [Delivered()]
    assert rig.received()[0][1] == body


@needs("variables")
def test_a_change_by_itself_is_delivered_where_the_address_has_variables(rig):
    assert send(rig, page(body=b"{}", change=SINGLE), to=target(rig.with_variables)) == [Delivered()]
    assert len(rig.received()) == 1


@needs("refuse")
def test_a_refusal_is_told_from_all_else_and_keeps_the_beginning_of_the_answer(rig):
    rig.refuse(b"I do not take it: \0\xff" + b"x" * 100_000)
    (outcome,) = send(rig)
    assert isinstance(outcome, Retry)
    assert (outcome.refused, outcome.away, outcome.unsent) == (True, False, False)
    assert outcome.answer.startswith("I do not take it: ")


@needs("hold")
@pytest.mark.parametrize(("seconds", "after"), [(7, 7.0), (10**9, HOLD_LIMIT)])
def test_a_receiver_may_put_the_next_attempt_off_up_to_a_limit(rig, seconds, after):
    rig.hold(seconds)
    (outcome,) = send(rig)
    assert isinstance(outcome, Retry)
    assert (outcome.after, outcome.refused, outcome.unsent) == (after, False, False)


@needs("gone")
def test_a_receiver_may_end_its_subscription(rig):
    rig.gone()
    (outcome,) = send(rig)
    assert isinstance(outcome, Gone)
    assert outcome.error.endswith(".")


@needs("rewind")
def test_a_receiver_may_name_its_cursor(rig):
    rig.rewind(CURSOR.encode())
    (outcome,) = send(rig)
    assert isinstance(outcome, Rewind)
    assert outcome.cursor == CURSOR


@needs("rewind", "variables")
def test_a_change_by_itself_moves_no_cursor(rig):
    rig.rewind(CURSOR.encode())
    (outcome,) = send(rig, page(change=SINGLE), to=target(rig.with_variables))
    assert isinstance(outcome, Retry)
    assert not outcome.refused


@needs("nonsense")
def test_a_cursor_that_is_none_is_a_failure(rig):
    rig.nonsense()
    (outcome,) = send(rig)
    assert isinstance(outcome, Retry)


@needs("away")
def test_an_endpoint_that_is_not_there_is_away(rig):
    (outcome,) = send(rig, to=target(rig.away()))
    assert isinstance(outcome, Retry)
    assert (outcome.away, outcome.unsent) == (True, False)


@needs("silent")
def test_a_receiver_that_does_not_answer_in_time_is_away(rig):
    (outcome,) = send(rig, to=target(rig.silent()), transport=rig.transport(patience=0.5))
    assert isinstance(outcome, Retry)
    assert outcome.away


@needs("hostile")
def test_no_answer_is_too_hostile_to_become_an_outcome_in_time(rig):
    targets = [target(rig.hostile(way)) for way in rig.hostile_ways]

    async def main():
        async with opened(rig.transport(patience=0.5)) as transport:
            return await asyncio.gather(*(transport.send(one, page()) for one in targets))

    began = time.monotonic()
    outcomes = dict(zip(rig.hostile_ways, asyncio.run(main()), strict=True))
    assert all(is_fit(outcome) for outcome in outcomes.values())
    taken = {way for way, outcome in outcomes.items() if isinstance(outcome, Delivered)}
    assert taken <= rig.taken_ways, "what breaks off was not taken"
    assert time.monotonic() - began < 60


@needs("wait")
def test_a_send_that_is_cancelled_ends_and_the_next_one_goes_on(rig):
    asked, go_on = rig.wait()

    async def main():
        async with opened(rig.transport()) as transport:
            sending = asyncio.create_task(transport.send(target(rig.address), page(1)))
            await asyncio.to_thread(asked.wait, 60)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            go_on.set()
            return await transport.send(target(rig.address), page(2))

    assert asyncio.run(main()) == Delivered()


@needs("connections")
def test_closing_lets_go_of_all_connections_and_may_be_done_twice(rig):

    async def main():
        transport = rig.transport()
        await transport.send(target(rig.address), page())
        await asyncio.to_thread(until, lambda: connected_to(rig.receiver.port))
        await transport.close()
        await asyncio.to_thread(until, lambda: not connected_to(rig.receiver.port))
        await transport.close()

    asyncio.run(main())


def test_a_transport_that_was_never_used_can_be_closed(rig):
    asyncio.run(rig.transport().close())


@needs("consent")
@pytest.mark.parametrize("wanted", [True, False])
def test_a_receiver_is_ready_once_it_has_consented(rig, wanted):
    rig.consent(wanted)

    async def main():
        async with opened(rig.transport()) as transport:
            return await transport.prepare(target(rig.address))

    outcome = asyncio.run(main())
    assert is_fit(outcome)
    assert outcome == Ready(rate=120) if wanted else isinstance(outcome, Retry)


def test_an_endpoint_is_the_same_for_all_its_addresses_and_holds_no_secret(rig):
    first, second = rig.transport(), rig.transport()
    endpoint = first.endpoint(rig.address)
    assert endpoint == first.endpoint(rig.address) == second.endpoint(rig.neighbour)
    assert "variables" not in rig.can or endpoint == first.endpoint(rig.with_variables)
    assert "elsewhere" not in rig.can or endpoint != first.endpoint(rig.elsewhere)
    assert 0 < len(endpoint) <= 300
    assert transport_rigs.SECRET not in endpoint


def test_a_good_address_is_not_refused_and_is_of_the_transports_schemes(rig):
    transport = rig.transport()
    for address in (rig.address, rig.neighbour, rig.with_variables if "variables" in rig.can else rig.address):
        transport.check(address)
        assert address.partition(":")[0] in transport.schemes


def test_a_bad_address_is_refused_by_an_error_that_names_the_field(rig):
    for address in rig.bad:
        with pytest.raises(exceptions.SubscriptionError) as caught:
            rig.transport().check(address)
        assert caught.value.field == "callback"
        assert caught.value.reason.endswith("."), "it is a sentence"


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], max_examples=200)
@hypothesis.given(strategies.text(max_size=50), strategies.booleans())
def test_every_address_is_refused_or_has_an_endpoint(rig, text, is_rest):
    transport = rig.transport()
    address = f"{rig.elsewhere}{text}" if is_rest else text
    with contextlib.suppress(exceptions.SubscriptionError):
        transport.check(address)
        assert transport.endpoint(address)


def test_objects_that_hold_keys_do_not_show_them(rig):
    assert KEY not in repr(target(rig.address))
    assert KEY not in repr(target(rig.address).keys)
