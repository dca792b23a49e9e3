"""Which transport an address is of, and which classes may be one."""

from __future__ import annotations

import asyncio

import pytest
from django.test import override_settings

from pubsubpull import conf, exceptions
from pubsubpull.checks import settings as settings_checks
from pubsubpull.transports import registry
from pubsubpull.transports.base import ANSWER_KEPT, Delivered, Key, Message, Ready, Retry, Target, Transport, beginning
from pubsubpull.transports.recording import RecordingTransport
from pubsubpull.wire import signing

OWN = "pubsubpull.transports.recording.RecordingTransport"
MESSAGE = Message(id="msg_1", body=b"{}", content_type="application/json")


def target(address):
    return Target(address=address, keys=(Key(text=signing.new_secret()),))


class Pigeons(Transport):
    """The least that a transport is."""

    schemes = frozenset({"pigeon", "dove"})

    def endpoint(self, address):
        return address.partition("/")[0]

    async def send(self, target, message):
        return Delivered()


class Crows(Pigeons):
    schemes = frozenset({"crow", "dove"})
    connections = 3


def test_a_transport_has_to_say_its_schemes_and_endpoints_and_to_send():
    async def main():
        pigeons = Pigeons.of(conf.Settings())
        pigeons.check("pigeon:loft")
        assert pigeons.connections is None
        assert await pigeons.prepare(target("pigeon:loft")) == Ready()
        assert await pigeons.send(target("pigeon:loft"), MESSAGE) == Delivered()
        await pigeons.close()

    asyncio.run(main())


def test_the_scheme_names_the_transport_and_a_later_transport_wins():
    pigeons, crows = Pigeons(), Crows()
    both = registry.Transports([pigeons, crows])
    assert both.schemes == {"pigeon", "crow", "dove"}
    for address, transport in (("pigeon:x", pigeons), ("CROW:x", crows), ("dove:x", crows), ("x", None), (":x", None)):
        assert both.chosen(address) is transport
    assert both.connections == 3
    assert registry.Transports([pigeons]).connections is None


def test_an_address_without_a_transport_is_refused_and_an_accepted_one_waits():
    both = registry.Transports([Crows()])
    with pytest.raises(exceptions.SubscriptionError, match=r"callback: must begin with crow: or dove:\."):
        both.check("pigeon:loft")
    assert both.endpoint("pigeon:loft") == "pigeon:"
    expected = Retry(error="This worker has no transport for pigeon: addresses.", unsent=True)

    async def main():
        assert await both.send(target("pigeon:loft"), MESSAGE) == expected
        assert await both.prepare(target("pigeon:loft")) == expected

    asyncio.run(main())


def test_the_settings_add_transports():
    transports = registry.of(conf.Settings(TRANSPORTS=(OWN,)))
    assert transports.schemes == {"http", "https", "recording"}
    assert isinstance(transports.chosen("recording:x"), RecordingTransport)
    assert registry.of(conf.Settings()).schemes == {"http", "https"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.Transport", "cannot be imported"),
        ("pubsubpull.transports.recording.Nothing", "cannot be imported"),
        ("pubsubpull.transports.recording.Sent", "is no transport: it has no schemes, of,"),
        ("pubsubpull.transports.base.Transport", "is no transport: it has no schemes"),
    ],
)
def test_a_class_that_is_no_transport_is_a_checks_error(name, reason):
    with override_settings(PUBSUBPULL={"TRANSPORTS": [OWN, name]}):
        (message,) = settings_checks.check_transports()
    assert message.id == "pubsubpull.E010"
    assert repr(name) in message.msg
    assert reason in message.msg


def test_the_beginning_of_an_answer_is_text_that_postgresql_keeps():
    assert beginning(b"no\0\xff") == "no\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert len(beginning(b"x" * 10_000)) == ANSWER_KEPT
