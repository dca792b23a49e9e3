"""System checks of the settings."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks
from django.db import connections

from pubsubpull import conf
from pubsubpull.transports import registry as registry_of_transports

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
"""Where machines of clouds ask for their credentials."""


@checks.register("pubsubpull")
def check_settings(**_: Any) -> list[CheckMessage]:
    """E001: a wrong setting. E002: the database of the log is not PostgreSQL."""
    messages: list[CheckMessage] = [
        checks.Error(
            f"{conf.NAME}: {name} {reason}.",
            hint="See pubsubpull.conf.Settings for the settings and their values.",
            id="pubsubpull.E001",
        )
        for name, reason in conf.problems(getattr(settings, conf.NAME, {}))
    ]
    if not messages and connections[conf.get().DATABASE].vendor != "postgresql":
        messages.append(
            checks.Error(
                f"The database {conf.get().DATABASE!r} is not PostgreSQL.",
                hint="Changes are captured by PostgreSQL's triggers: name another alias in PUBSUBPULL['DATABASE'].",
                id="pubsubpull.E002",
            )
        )
    return messages


@checks.register("pubsubpull")
def check_transports(**_: Any) -> list[CheckMessage]:
    """E010: a class that TRANSPORTS names is none, or is no transport."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    return [
        checks.Error(
            f"{conf.NAME}: TRANSPORTS has {name!r}, which {reason}.",
            hint="Give the dotted name of a class that inherits from pubsubpull.transports.base.Transport.",
            id="pubsubpull.E010",
        )
        for name in conf.get().TRANSPORTS
        if (reason := registry_of_transports.wrong(name))
    ]


@checks.register("pubsubpull", deploy=True)
def check_callbacks(**_: Any) -> list[CheckMessage]:
    """W007: callbacks may be where clouds keep their secrets. W008: consent is asked under no name of one's own."""
    given = getattr(settings, conf.NAME, {})
    if conf.problems(given):
        return []
    allowed = [ipaddress.ip_network(network) for network in conf.get().CALLBACK_ADDRESSES]
    open_ = [str(one) for one in allowed if any(ipaddress.ip_address(address) in one for address in METADATA)]
    messages: list[CheckMessage] = [
        checks.Warning(
            f"{conf.NAME}: CALLBACK_ADDRESSES has {network}, in which clouds have their metadata services.",
            hint="Any subscriber could let the worker call them: list smaller networks, or single addresses.",
            id="pubsubpull.W007",
        )
        for network in open_
    ]
    if conf.get().VERIFY != "off" and not conf.get().ORIGIN:
        messages.append(
            checks.Warning(
                f"{conf.NAME}: receivers are asked for consent, but ORIGIN, the name to ask under, is not set.",
                hint="Set ORIGIN to this service's host, such as shop.example: a receiver consents to that name.",
                id="pubsubpull.W008",
            )
        )
    return messages


@checks.register("pubsubpull")
def check_retention(**_: Any) -> list[CheckMessage]:
    """W030: changes are dropped before a failing subscription is given up."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    settings_ = conf.get()
    if not 0 < settings_.RETENTION < settings_.DISABLE_AFTER:
        return []
    return [
        checks.Warning(
            f"Changes are kept for {settings_.RETENTION:g} seconds, but a subscription may be failing for "
            f"{settings_.DISABLE_AFTER:g}: it would lose changes before it is disabled.",
            hint="Let RETENTION be longer than DISABLE_AFTER.",
            id="pubsubpull.W030",
        )
    ]
