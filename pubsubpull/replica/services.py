"""The services that are followed, as the settings name them."""

from __future__ import annotations

import dataclasses

from pubsubpull import conf, exceptions
from pubsubpull.base.threads import first_line
from pubsubpull.pull.client import Client
from pubsubpull.transports.http import consent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A service that is followed. What is secret is not shown."""

    name: str
    url: str
    token: str = dataclasses.field(repr=False)
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    origin: str = ""
    """The name under which it asks for consent to its notifications."""

    def client(self, *, timeout: float = 30.0) -> Client:
        """Return a client of its API."""
        return Client(self.url, self.token, timeout=timeout)


def told(name: str, error: Exception) -> str:
    """Return an error with a service as a person is told it: with its name, and with the settings to look at."""
    refused = isinstance(error, exceptions.RequestRefused) and (error.status in {401, 403, 404} or not error.problem)
    look = refused or isinstance(error, exceptions.Unavailable)
    hint = f" Its url and token are in PUBSUBPULL['SERVICES'][{name!r}]." if look else ""
    return f"{name} cannot be followed: {first_line(error)}{hint}"


def names() -> list[str]:
    """Return the names of all services in the settings."""
    return sorted(conf.get().SERVICES or {})


def get(name: str) -> Service:
    """Return a service by its name; raises `ReplicaError` for one that the settings do not have."""
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
