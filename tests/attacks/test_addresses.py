"""The guard of addresses: addresses refused in every spelling, and addresses that an operator may allow."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsubpull import exceptions
from pubsubpull.conf import Settings
from pubsubpull.transports.http import addresses, guard
from pubsubpull.transports.http.guard import Guard, Refused

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10")


def resolving(*found):
    """Return a guard for which every name has these addresses."""
    return Guard(resolve=lambda _host, _port: list(found))


def refused(callback, guarded=None, limit=5):
    with pytest.raises(exceptions.SubscriptionError) as caught:
        guard.check_callback(guarded or resolving("8.8.8.8"), callback, limit=limit)
    assert caught.value.field == "callback"
    return caught.value.reason


def accepted(callback, guarded=None):
    guard.check_callback(guarded or resolving("8.8.8.8"), callback, limit=5)


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "shared"),
        ("100.100.100.200", "shared"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "metadata"),
        ("169.254.169.254", "link-local"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.168.1.1", "private"),
        ("198.19.0.1", "benchmarks"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "outdated"),
        ("::8.8.8.8", "outdated"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:a9fe:a9fe", "link-local"),
        ("::ffff:0:127.0.0.1", "reserved"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b:1::8.8.8.8", "private"),
        ("100::1", "reserved"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "reserved"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("2002:808:808::1", "6to4"),
        ("2606:4700::200:5efe:a00:1", "ISATAP"),
        ("3fff::1", "documentation"),
        ("5f00::1", "reserved"),
        ("fd00:ec2::254", "private"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
        ("localhost", "none"),
    ],
)
def test_an_address_that_is_not_public_is_refused_and_the_word_says_why(address, word):
    assert word in Guard().refusal(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_a_public_address_is_not_refused(address):
    assert Guard().refusal(address) is None


@given(st.ip_addresses())
def test_an_address_python_knows_as_not_public_is_refused(address):
    """The list is our own, as Python's has changed from release to release; it is at least as strict."""
    plain = addresses.carried(address)
    if not plain.is_global or plain.is_multicast:
        assert Guard().refusal(str(address))


@given(st.data())
def test_an_ipv6_address_with_a_refused_ipv4_address_is_refused_in_every_form(data):
    inner = data.draw(st.ip_addresses(network=data.draw(st.sampled_from(PRIVATE))))
    number = int(inner)
    forms = (
        0xFFFF << 32 | number,  # mapped
        number,  # compatible
        0x64FF9B << 96 | number,  # NAT64
        0x64FF9B0001 << 80 | number,  # local NAT64
        0x2002 << 112 | number << 80 | 1,  # 6to4
        0x20010000 << 96 | number ^ 0xFFFFFFFF,  # Teredo
        0x2606470000000000 << 64 | 0x5EFE << 32 | number,  # ISATAP
    )
    for form in forms:
        address = ipaddress.IPv6Address(form)
        for text in (str(address), address.exploded, address.exploded.upper()):
            assert Guard().refusal(text)
            assert refused(f"http://[{text}]/")


def number(value, base):
    return {8: f"0{value:o}", 10: str(value), 16: f"0x{value:x}"}[base]


@given(st.data())
def test_an_ipv4_address_that_is_spelled_otherwise_is_refused(data):
    inner = int(data.draw(st.ip_addresses(v=4)))
    parts = data.draw(st.integers(1, 4))
    values = [inner >> 8 * (3 - place) & 255 for place in range(parts - 1)] + [inner & (1 << 8 * (5 - parts)) - 1]
    bases = [data.draw(st.sampled_from([8, 10, 16])) for _ in values]
    host = ".".join(number(value, base) for value, base in zip(values, bases, strict=True))
    host = data.draw(st.sampled_from([host, host.upper().replace("0X", "0X")])) + data.draw(st.sampled_from(["", "."]))
    if host != str(ipaddress.IPv4Address(inner)):
        assert "four decimal numbers" in refused(f"http://{host}/")


@pytest.mark.parametrize(
    "callback",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:8000/",
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://0x/",
        "http://1.2.3.0x7F/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127。0。0。1/",
        "http://[::1]/",
        "http://[::1%25lo]/",
        "http://[2606:4700::1111%25eth0]/",
        "http://[::ffff:7f00:1]/",
        "http://[v1.x]/",
        "http://8.8.8.8@127.0.0.1/",
        "http://127.0.0.1@8.8.8.8/",
        "http://8.8.8.8#@127.0.0.1/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://8.8.8.8/\t",
        "http://a..example/",
        "http://a.example../",
        "http://.a.example/",
        "http://-a.example/",
        "http://a-.example/",
        "http://a_b!.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "gopher://8.8.8.8/",
        "file:///etc/passwd",
        "http://a.example:22/",
        "http://8.8.8.8:25/",
        "https://a.example:1023/",
    ],
)
def test_a_callback_that_could_lead_elsewhere_is_refused_at_registration(callback):
    assert refused(callback)


@pytest.mark.parametrize(
    "callback",
    [
        "https://a.example/",
        "https://a.example./",
        "http://a.example:80/x?y=%20",
        "https://A-b.c_d.EXAMPLE:8443/",
        "http://xn--bcher-kva.example/",
        "http://8.8.8.8:65535/",
        "http://[2606:4700::1111]:1024/",
        "http://1.2.3.4.example/",
        "http://0x7f.example/",
        "http://intranet/",
    ],
)
def test_a_callback_that_leads_to_a_public_address_is_accepted(callback):
    accepted(callback)


def test_a_name_that_leads_only_to_refused_addresses_is_refused_and_the_addresses_are_not_told():
    reason = refused("https://a.example/", resolving("10.1.2.3", "::1"))
    assert "(loopback, private)" in reason
    assert "CALLBACK_ADDRESSES" in reason
    assert "10.1.2.3" not in reason
    accepted("https://a.example/", resolving("10.1.2.3", "8.8.8.8"))


def test_a_name_that_cannot_be_looked_up_now_is_accepted_as_each_connection_is_checked():
    def unknown(_host, _port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    accepted("https://a.example/", Guard(resolve=unknown))
    done = threading.Event()
    slow = Guard(resolve=lambda *_: [done.wait(10), "10.0.0.1"][1:])
    guard.check_callback(slow, "https://a.example/", limit=0.01)
    done.set()


def test_networks_that_are_allowed_take_in_the_ipv6_forms_of_their_addresses():
    loopback = Guard.of(Settings(CALLBACK_ADDRESSES=("127.0.0.0/8", "fd00::/8")))
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd12::1"):
        assert loopback.refusal(address) is None
    for address in ("10.0.0.1", "::1", "::ffff:10.0.0.1", "fc00::1"):
        assert loopback.refusal(address)
    accepted("http://127.0.0.1:22/", loopback)
    assert refused("http://2130706433/", loopback)


def test_hosts_that_are_allowed_may_have_any_address_and_port():
    trusting = Guard.of(Settings(CALLBACK_HOSTS=("Billing.example", ".cluster.local")))
    for host, port in itertools.product(
        ("billing.example", "BILLING.EXAMPLE.", "cluster.local", "a.b.cluster.local."), ("", ":22")
    ):
        assert trusting.trusts(host)
        accepted(f"http://{host}{port}/", trusting)
    for host in ("a.billing.example", "xbilling.example", "notcluster.local", "billing.example.evil.test", "127.0.0.1"):
        assert not trusting.trusts(host)


def test_the_system_looks_names_up():
    assert set(guard.lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(Refused, match="there is none"):
        Guard().allowed([])
