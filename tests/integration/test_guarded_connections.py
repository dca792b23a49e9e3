"""Requests only reach addresses that the guard allows, for any resolution of names at connection time."""

from __future__ import annotations

import asyncio
import ipaddress
import threading

import aiohttp
import pytest

from pubsubpull import exceptions
from pubsubpull.transports.http import dns, guard
from pubsubpull.transports.http.client import AiohttpClient
from pubsubpull.transports.http.connections import connector
from pubsubpull.transports.http.guard import Guard, Refused
from tests.receivers import Receiver, serving

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver():
    with serving(Receiver()) as found:
        yield found


def send(guarded, *urls, method="put"):
    """Send to each URL through one transport; return the statuses."""

    async def main():
        transport = AiohttpClient(connect=2, read=2, guard=guarded)
        call = {"put": lambda url: transport.put(url, b'{"items": []}', {"webhook-id": "1"})}
        call["options"] = lambda url: transport.options(url, {})
        try:
            return [(await call[method](url)).status for url in urls]
        finally:
            await transport.close()

    return asyncio.run(main())


def named(receiver, name="billing.test"):
    return receiver.url.replace("127.0.0.1", name)


def answering(*answers):
    """Return a resolver that gives one answer after the other."""
    left = list(answers)
    return lambda _host, _port: left.pop(0)


@pytest.mark.parametrize("method", ["put", "options"])
def test_a_name_that_leads_elsewhere_once_it_is_registered_is_not_connected_to(receiver, method):
    changing = Guard(resolve=answering(["8.8.8.8"], ["127.0.0.1"]))
    guard.check_callback(changing, named(receiver), limit=5)
    with pytest.raises(exceptions.Unavailable, match=r"only to addresses that are refused \(loopback\)"):
        send(changing, named(receiver), method=method)
    assert not receiver.came


@pytest.mark.parametrize("method", ["put", "options"])
def test_without_a_custom_guard_only_public_addresses_are_reached(receiver, method):
    for url in (receiver.url, named(receiver, "localhost"), named(receiver, "[::ffff:127.0.0.1]")):
        with pytest.raises(exceptions.Unavailable, match="refused"):
            send(None, url, method=method)
    for url in (named(receiver, "2130706433"), named(receiver, "127.1"), named(receiver, "a@127.0.0.1")):
        with pytest.raises(exceptions.Unavailable, match="the callback must"):
            send(None, url, method=method)
    assert not receiver.came


def test_the_address_of_the_socket_is_checked_after_any_lookup(receiver):
    """Neither the check of the URL nor the one of the look-up is in its way here."""

    async def main():
        async with aiohttp.ClientSession(connector=connector(Guard(), trusted=False)) as session:
            await session.put(receiver.url, data=b"{}")

    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        asyncio.run(main())
    assert isinstance(caught.value.os_error, Refused)
    assert not receiver.came


def test_of_a_name_with_several_addresses_those_that_are_allowed_are_used(receiver):
    mixed = Guard(addresses=LOOPBACK, resolve=answering(["10.255.255.1", "::1", "127.0.0.1"]))
    assert send(mixed, named(receiver)) == [204]


def test_a_host_that_is_allowed_may_have_any_address_and_the_others_still_may_not(receiver):
    trusting = Guard(hosts=("billing.test",), resolve=lambda *_: ["127.0.0.1"])
    assert send(trusting, named(receiver), named(receiver, "BILLING.test.")) == [204, 204]
    with pytest.raises(exceptions.Unavailable, match="refused"):
        send(trusting, named(receiver), named(receiver, "other.test"))
    assert len(receiver.came) == 3


def test_a_name_is_looked_up_for_new_connections_only(receiver):
    once = Guard(addresses=LOOPBACK, resolve=answering(["127.0.0.1"]))
    assert send(once, *[named(receiver)] * 3) == [204] * 3


def test_unresolvable_names_do_not_delay_names_resolved_before(receiver):
    over, asked = threading.Event(), threading.Semaphore(0)

    def resolve(host, _port):
        if host.startswith("silent"):
            asked.release()
            over.wait(20)
        return ["127.0.0.1"]

    async def main():
        transport = AiohttpClient(connect=0.2, read=5, guard=Guard(addresses=LOOPBACK, resolve=resolve))
        first = named(receiver, "found.test")
        assert (await transport.put(first, b'{"items": []}', {"webhook-id": "1"})).status == 204
        silent = [
            asyncio.create_task(transport.put(named(receiver, f"silent{n}.test"), b"{}", {}))
            for n in range(dns.NEW + dns.KNOWN)
        ]
        for _ in range(dns.NEW):
            await asyncio.to_thread(asked.acquire)
        with serving(Receiver()) as other:
            again = named(other, "found.test")
            assert (await transport.put(again, b'{"items": []}', {"webhook-id": "2"})).status == 204
        over.set()
        await asyncio.gather(*silent, return_exceptions=True)
        await transport.close()

    asyncio.run(main())


def test_a_redirect_to_an_address_that_is_refused_is_not_followed(receiver):
    receiver.answer = lambda _: (307, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")
    assert send(Guard(addresses=LOOPBACK), receiver.url) == [307]


def test_proxies_of_the_environment_are_not_used(receiver, monkeypatch):
    with serving(Receiver()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(exceptions.Unavailable, match="refused"):
            send(Guard(resolve=lambda *_: ["10.0.0.1"]), "http://inside.test/")
        assert send(Guard(addresses=LOOPBACK), receiver.url) == [204]
        assert len(receiver.came) == 1
        assert not proxy.came


def test_the_operators_message_names_the_setting_and_not_the_address(receiver):
    with pytest.raises(exceptions.Unavailable) as caught:
        send(Guard(resolve=lambda *_: ["10.9.8.7"]), named(receiver) + "?token=hidden")
    assert "CALLBACK_ADDRESSES" in str(caught.value)
    assert "10.9.8.7" not in str(caught.value)
    assert "hidden" not in str(caught.value)
