"""Errors of the setting PUBSUBPULL: each names the setting and the reason."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import ipaddress
import re
from typing import Any

from django.conf import settings as django_settings

from pubsubpull.conf.settings import DEFAULTS, Settings

NAME = "PUBSUBPULL"
HOST = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
"""A host's name; with a dot before it, a domain."""

CHOICES = {
    "DOCS": ("staff", "public", "off"),
    "VERIFY": ("off", "on", "always"),
    "PUBLIC_KEYS": ("consumers", "everyone"),
    "HEALTH": ("token", "public"),
}
SERVICE = {"url", "token", "secrets", "origin"}
MOST_OF = {"PARTITION_SIZE": 1_000_000_000}
ALIASES = {"DATABASE": "DATABASES", "CACHE": "CACHES"}
"""Which setting of Django has the aliases that each of these may be."""


def problems(given: Any) -> list[tuple[str, str]]:
    """Return the errors of a PUBSUBPULL setting, each as the name and the reason."""
    if not isinstance(given, dict):
        return [(NAME, "must be a dict")]
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    errors = []
    for name, value in given.items():
        if name not in fields:
            near = difflib.get_close_matches(str(name).upper(), fields, n=1)
            known = f"did you mean {near[0]}" if near else f"there are {', '.join(fields)}"
            errors.append((str(name), f"is no setting; {known}"))
        elif reason := _wrong(name, value):
            errors.append((name, reason))
    return errors


def _wrong(name: str, value: Any) -> str | None:
    if name == "SERVICES":
        return _wrong_services(value)
    default = getattr(DEFAULTS, name)
    if isinstance(default, bool):
        return None if isinstance(value, bool) else f"must be True or False, not {value!r}"
    if isinstance(default, tuple):
        return _wrong_texts(name, value)
    if isinstance(default, str):
        return _wrong_text(name, value)
    return _wrong_number(default, value) or _too_large(name, value)


def _wrong_number(default: float, value: Any) -> str | None:
    wanted = int if isinstance(default, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        return f"must be a{' whole' if wanted is int else ''} number, not {value!r}"
    if value < 0 or (value == 0 and default > 0):
        return f"must be above 0, not {value!r}"
    return None


def _too_large(name: str, value: float) -> str | None:
    most = MOST_OF.get(name, value)
    return f"must be at most {most}, not {value!r}" if value > most else None


def _wrong_services(value: Any) -> str | None:
    """Return the error of SERVICES, if any. It shows only names of services: the rest is secret."""
    if not isinstance(value, dict):
        return "must be a dict of services by name"
    for service, options in value.items():
        if not isinstance(service, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", service):
            return "has a name that is not of letters, digits, - and _"
        if reason := _wrong_service(options):
            return f"[{service!r}] {reason}"
    return None


def _wrong_service(given: Any) -> str | None:
    if not isinstance(given, dict) or not {"url", "token"} <= set(given) <= SERVICE:
        return "must be a dict of url, token and, for pushes, secrets and origin"
    if not all(isinstance(given[part], str) and given[part] for part in ("url", "token")):
        return "must have texts as url and token"
    if not given["url"].startswith(("http://", "https://")):
        return "must have a url that begins with http:// or https://"
    secrets = given.get("secrets", [])
    if not isinstance(secrets, list | tuple) or not all(isinstance(secret, str) for secret in secrets):
        return "must have a list of texts as secrets"
    if not isinstance(origin := given.get("origin", "x"), str) or not HOST.fullmatch(origin):
        return "must have an origin as a host's name: the ORIGIN, or else the SERVICE_NAME, of the service itself"
    return None


def _wrong_text(name: str, value: Any) -> str | None:
    if not isinstance(value, str) or not (value or getattr(DEFAULTS, name) == ""):
        return f"must be a text, not {value!r}"
    if name in CHOICES and value not in CHOICES[name]:
        return f"must be {', '.join(CHOICES[name][:-1])} or {CHOICES[name][-1]}, not {value!r}"
    if name == "ORIGIN" and value and not HOST.fullmatch(value):
        return f"must be as a host's name, not {value!r}"
    if name in ALIASES and value not in getattr(django_settings, ALIASES[name]):
        return f"must be an alias of {ALIASES[name]}, not {value!r}"
    return None


def _wrong_texts(name: str, value: Any) -> str | None:
    if name == "SECRET_KEYS":
        return None if _are_texts(value) and all(value) else "must be a list of texts, none of them empty"
    if not _are_texts(value):
        return f"must be a list of texts, not {value!r}"
    wrong = {"CALLBACK_ADDRESSES": _wrong_network, "CALLBACK_HOSTS": _wrong_host}.get(name, lambda _: None)
    return next((f"has {one!r}, {reason}" for one in value if (reason := wrong(one))), None)


def _are_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _wrong_network(text: str) -> str | None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"which is no network: {error}"
    return None


def _wrong_host(text: str) -> str | None:
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(text)
        return "which is an address: it belongs into CALLBACK_ADDRESSES"
    if not HOST.fullmatch(text):
        return "which is no host's name: give it without scheme, port and path, as example.com or .example.com"
    return None
