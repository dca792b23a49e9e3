"""Which addresses callbacks may have: nobody's word leads a request into the service's own network."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
import urllib.parse
from typing import TYPE_CHECKING

from pubsubpull import exceptions
from pubsubpull.transports.http import addresses as ranges
from pubsubpull.transports.http import dns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pubsubpull.conf import Settings
    from pubsubpull.transports.http.addresses import Network

URL_LIMIT = 2000
"""The most characters of a callback."""
NOT_IN_URLS = frozenset(' "<>\\^`{|}')
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
"""A part of a host's name, in lower case."""
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last part of a host as which some read an IPv4 address from it, as of 2130706433, 0x7f.1 or 0177.0.0.1."""
WEB_PORTS = {80, 443}
WELL_KNOWN = 1024
"""Below this port, services other than the web's are at home."""
ADVICE = "An operator can allow it in PUBSUBPULL['CALLBACK_ADDRESSES'] or ['CALLBACK_HOSTS']"


class Refused(OSError):
    """An address that no request may go to. An OSError, as what connects expects one."""


def lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the operating system has them; raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guard:
    """Refuses every address that is not public, but for those in `addresses`, and for `hosts`, whatever theirs are.

    `resolve` looks a name up; tests may give another one.
    """

    addresses: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()
    resolve: Callable[[str, int], list[str]] = lookup

    @classmethod
    def of(cls, settings: Settings) -> Guard:
        """Return the guard that the settings ask for."""
        return cls(
            addresses=tuple(ipaddress.ip_network(network) for network in settings.CALLBACK_ADDRESSES),
            hosts=tuple(host.lower() for host in settings.CALLBACK_HOSTS),
        )

    def trusts(self, host: str) -> bool:
        """Say whether a host may have any address: it is in the list, or in a domain that is there as `.domain`."""
        host = host.lower().removesuffix(".")
        return any(host == one.removeprefix(".") or (one[0] == "." and host.endswith(one)) for one in self.hosts)

    def refusal(self, address: str) -> str | None:
        """Say why an address is refused, in a word; None where it is not.

        10.0.0.1 → "private"; ::ffff:127.0.0.1 → "loopback"; 8.8.8.8 → None.
        """
        found = ranges.parse(address)
        if found is None:
            return "none"
        return None if self._listed(address) else ranges.special(found)

    def _listed(self, address: str) -> bool:
        found = ranges.parse(address)
        meant = {found, ranges.carried(found)} if found else set()
        return any(one in network for network in self.addresses for one in meant)

    def check(self, url: str) -> None:
        """Raise `Refused` for a URL that no request may go to, as far as that is seen without looking its name up."""
        if reason := wrong_url(url):
            raise Refused(f"the callback {reason}")
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        if self.trusts(host) or self._listed(host):
            return
        if ranges.parse(host):
            self.check_address(host)
        if parts.port is not None and parts.port < WELL_KNOWN and parts.port not in WEB_PORTS:
            raise Refused(f"port {parts.port} is refused: callbacks are at 80, 443, or from {WELL_KNOWN} on. {ADVICE}")

    def check_address(self, address: str) -> None:
        """Raise `Refused` for an address that no connection may be made to."""
        if word := self.refusal(address):
            raise Refused(f"its address is refused ({word}). {ADVICE}")

    def allowed(self, addresses: Iterable[str]) -> list[str]:
        """Return those of a name's addresses that are not refused; raises `Refused` where none is left.

        The message names no address: what a name means inside the service's network is not the consumer's to know.
        """
        words = {address: self.refusal(address) for address in addresses}
        good = [address for address, word in words.items() if word is None]
        if not good:
            kinds = ", ".join(sorted({word for word in words.values() if word})) or "there is none"
            raise Refused(f"its name leads only to addresses that are refused ({kinds}). {ADVICE}")
        return good


def check_callback(guard: Guard, url: str, *, limit: float) -> None:
    """Raise `SubscriptionError` for a callback that is refused. A name is looked up, for at most `limit` seconds.

    One that cannot be looked up now is not refused: each connection is checked in any case.
    """
    if reason := wrong_url(url):
        raise exceptions.SubscriptionError("callback", f"{reason}.")
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        guard.check(url)
        if (
            not guard.trusts(host)
            and not ranges.parse(host)
            and (found := dns.within(guard.resolve, host, limit=limit))
        ):
            guard.allowed(found)
    except Refused as error:
        raise exceptions.SubscriptionError("callback", f"{error}.") from error


def wrong_url(url: str) -> str | None:  # noqa: PLR0911  a table
    """Say what is wrong with a callback's URL, wherever it leads; None where nothing is."""
    if len(url) > URL_LIMIT:
        return f"must be at most {URL_LIMIT} characters long"
    if not url.isascii() or not url.isprintable() or NOT_IN_URLS & set(url):
        return "holds characters that no URL has: write them percent-encoded, and a host's name as xn--…"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "must be an http or https URL with a host"
    if "@" in parts.netloc or "#" in url:
        return "must not hold a user name, a password or a fragment"
    if "[" in parts.netloc and ":" not in parts.hostname:
        return "has something in brackets that is no IPv6 address"
    return wrong_host(parts.hostname)


def wrong_host(host: str) -> str | None:
    """Say what is wrong with the host of a URL; None where nothing is."""
    if "%" not in host and ranges.parse(host):
        return None
    labels = host.lower().removesuffix(".").split(".")
    if len(host) > 254 or not all(LABEL.fullmatch(label) for label in labels):
        return "has a host that is neither a name nor an address"
    if NUMBER.fullmatch(labels[-1]):
        return "must have its IPv4 address as four decimal numbers"
    return None
