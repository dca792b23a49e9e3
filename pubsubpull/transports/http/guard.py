"""The guard against server-side request forgery: no callback leads a request into the service's own network."""

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
# No URL has them, and parsers disagree on them: some read a backslash as a slash, and so see another host.
NOT_IN_URLS = frozenset(' "<>\\^`{|}')
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
"""A label of a host name, in lower case."""
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that makes some resolvers read an IPv4 address, as in 2130706433, 0x7f.1 or 0177.0.0.1."""
WEB_PORTS = {80, 443}
WELL_KNOWN = 1024
"""The ports below belong to other services than the web's."""
ADVICE = "An operator can allow it in PUBSUBPULL['CALLBACK_ADDRESSES'] or ['CALLBACK_HOSTS']"


class Refused(OSError):
    """A refused address. It is an OSError, since asyncio's connect handles no other errors."""


def lookup(host: str, port: int) -> list[str]:
    """Return the addresses of a name from the operating system's resolver; raise `OSError`."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in infos))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guard:
    """Refuses every address that is not public, with the exceptions in the settings."""

    addresses: tuple[Network, ...] = ()
    """The networks that are allowed, too."""
    hosts: tuple[str, ...] = ()
    """The hosts that are allowed with any address; `.domain` stands for the domain and all its hosts."""
    resolve: Callable[[str, int], list[str]] = lookup
    """Resolves a name to its addresses."""

    @classmethod
    def of(cls, settings: Settings) -> Guard:
        """Return the guard for the settings."""
        return cls(
            addresses=tuple(ipaddress.ip_network(network) for network in settings.CALLBACK_ADDRESSES),
            hosts=tuple(host.lower() for host in settings.CALLBACK_HOSTS),
        )

    def trusts(self, host: str) -> bool:
        """True if a host may have any address: it or its domain is in the list."""
        # A name's last dot changes nothing. `.domain` keeps its first dot: it must not match the end of another name.
        host = host.lower().removesuffix(".")
        return any(host == name.removeprefix(".") or (name[0] == "." and host.endswith(name)) for name in self.hosts)

    def refusal(self, address: str) -> str | None:
        """Return the word for the refusal of an address; None if the address is allowed.

        10.0.0.1 → "private"; ::ffff:127.0.0.1 → "loopback"; 8.8.8.8 → None.
        """
        parsed = ranges.parse(address)
        if parsed is None:
            return "none"
        return None if self._listed(address) else ranges.special(parsed)

    def _listed(self, address: str) -> bool:
        parsed = ranges.parse(address)
        forms = {parsed, ranges.carried(parsed)} if parsed else set()
        return any(form in network for network in self.addresses for form in forms)

    def check(self, url: str) -> None:
        """Raise `Refused` for a URL that must not be requested, as far as the URL itself shows it."""
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
        """Raise `Refused` for an address that is not allowed."""
        if word := self.refusal(address):
            raise Refused(f"its address is refused ({word}). {ADVICE}")

    def allowed(self, addresses: Iterable[str]) -> list[str]:
        """Return the allowed addresses of a name; raise `Refused` if none is left.

        The message names no address: consumers must not learn the addresses inside the service's network.
        """
        words = {address: self.refusal(address) for address in addresses}
        permitted = [address for address, word in words.items() if word is None]
        if not permitted:
            kinds = ", ".join(sorted({word for word in words.values() if word})) or "there is none"
            raise Refused(f"its name leads only to addresses that are refused ({kinds}). {ADVICE}")
        return permitted


def check_callback(guard: Guard, url: str, *, limit: float) -> None:
    """Raise `SubscriptionError` for a refused callback. Its name is looked up for at most `limit` seconds.

    A name that does not resolve now is not refused, since each connection is checked anyway.
    """
    if reason := wrong_url(url):
        raise exceptions.SubscriptionError("callback", f"{reason}.")
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        guard.check(url)
        if (
            not guard.trusts(host)
            and not ranges.parse(host)
            and (addresses := dns.within(guard.resolve, host, limit=limit))
        ):
            guard.allowed(addresses)
    except Refused as error:
        raise exceptions.SubscriptionError("callback", f"{error}.") from error


def wrong_url(url: str) -> str | None:  # noqa: PLR0911  a table
    """Return the error in the form of a callback's URL; None if its form is right."""
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
    """Return the error in the form of a URL's host; None if its form is right."""
    if "%" not in host and ranges.parse(host):
        return None
    labels = host.lower().removesuffix(".").split(".")
    if len(host) > 254 or not all(LABEL.fullmatch(label) for label in labels):
        return "has a host that is neither a name nor an address"
    if NUMBER.fullmatch(labels[-1]):
        return "must have its IPv4 address as four decimal numbers"
    return None
