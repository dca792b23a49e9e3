"""The followed services, as in the settings."""

from __future__ import annotations

import dataclasses

from pubsubpull import conf, exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.pull.client import Client
from pubsubpull.transports.http import consent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A followed service. Its `repr` hides the secrets."""

    name: str
    """The name in PUBSUBPULL["SERVICES"]."""
    url: str
    """The base URL of its API."""
    token: str = dataclasses.field(repr=False)
    """The token for its API."""
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    """The secrets that verify its notifications; several while they are exchanged."""
    origin: str = ""
    """The name under which the service asks for consent to notifications, in lower case."""

    def client(self, *, timeout: float = 30.0) -> Client:
        """Return a client of the service's API; `timeout` is in seconds for each call."""
        return Client(self.url, self.token, timeout=timeout)


def told(name: str, error: Exception) -> str:
    """Return the text of an error for the user, with the service's name and the settings to check."""
    # An answer without a problem document comes from something else than the API: the URL is likely wrong.
    refused = isinstance(error, exceptions.RequestRefused) and (error.status in {401, 403, 404} or not error.problem)
    look = refused or isinstance(error, exceptions.Unavailable)
    hint = f" Its url and token are in PUBSUBPULL['SERVICES'][{name!r}]." if look else ""
    return f"{name} cannot be followed: {first_line(error)}{hint}"


def names() -> list[str]:
    """Return the names of all services in the settings, sorted."""
    return sorted(conf.get().SERVICES or {})


def get(name: str) -> Service:
    """Return the service with a name. Raises `ReplicaError` if the settings have no such service."""
    settings = (conf.get().SERVICES or {}).get(name)
    if settings is None:
        raise exceptions.ReplicaError(
            f"There is no service {name!r} in PUBSUBPULL['SERVICES']; there are: {', '.join(names()) or 'none'}."
        )
    return Service(
        name=name,
        url=settings["url"],
        token=settings["token"],
        secrets=tuple(settings.get("secrets", ())),
        origin=settings["origin"].lower() if "origin" in settings else consent.named(name),
    )
