"""The special-purpose ranges of IP addresses, each with a word for its kind; all others are public."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The IANA's special-purpose registries, and the addresses of clouds. The consumer reads the word in an error.
IPV4 = tuple(
    (ipaddress.IPv4Network(network), word)
    for network, word in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier's customers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# The first match counts: a narrow range stands before the wide one around it.
IPV6 = tuple(
    (ipaddress.IPv6Network(network), word)
    for network, word in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "an outdated form of an IPv4 address"),
        ("64:ff9b:1::/48", "private"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The part of IPv6 in public use. The rest is refused, also before a registry gives it a meaning."""
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
ISATAP = (0x00005EFE, 0x02005EFE)
"""The third quarter of an ISATAP address. Its last quarter is the IPv4 address at which the tunnel ends."""


def parse(text: str) -> Address | None:
    """Return the address in a text, without an interface after `%`; None if the text is no address."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def carried(address: Address) -> Address:
    """Return the IPv4 address inside a mapped or NAT64 address; any other address unchanged.

    ::ffff:127.0.0.1 and 64:ff9b::7f00:1 → 127.0.0.1.
    """
    if address in MAPPED or address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def special(address: Address) -> str | None:
    """Return the word for an address that is not public; None for a public address."""
    # First of all: a private IPv4 address must not pass in the form of an IPv6 address.
    address = carried(address)
    ranges: tuple[tuple[Network, str], ...] = IPV4 if address.version == 4 else IPV6
    for network, word in ranges:
        if address in network:
            return word
    if address.version == 6 and address not in GLOBAL_UNICAST:
        return "reserved"
    if address.version == 6 and int(address) >> 32 & 0xFFFFFFFF in ISATAP:
        return "an ISATAP tunnel"
    return None
