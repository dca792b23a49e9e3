"""The settings: one frozen object, read lazily from `settings.PUBSUBPULL`."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import ipaddress
import re
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from pubsubpull import exceptions

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings, with their defaults and meanings."""

    SERVICE_NAME: str = "django"
    """How this service calls itself to its consumers."""
    DATABASE: str = "default"
    """The alias of the database whose log the HTTP API and the delivery worker serve."""
    TRUSTED_PROXIES: int = 0
    """How many proxies of your own append to X-Forwarded-For before the service; 0 takes the socket's peer."""
    PAGE_LIMIT: int = 1000
    """The most items that a page over HTTP may ask for; a compact page of changes may have five times as many."""
    BODY_LIMIT: int = 1_000_000
    """The most bytes that the body of a request may have."""
    REQUEST_RATE: float = 1000.0
    """The most requests a second that a consumer may make, over ten seconds."""
    CACHE: str = "default"
    """The alias of the cache in which requests are counted: together by all processes that share it."""
    CALL_LIMIT: float = 30.0
    """The longest that the database may work for a call of the API, in seconds."""
    WAIT_LIMIT: float = 60.0
    """The longest that a call may wait for changes, in seconds."""
    WAITS: int = 8
    """How many calls of a consumer may wait for changes at a time, in each process of the service."""
    SUBSCRIPTIONS: int = 100
    """How many subscriptions a consumer may have."""
    DOCS: str = "staff"
    """The audience of the API's documentation page: `staff`, `public` or `off`."""
    ADMIN_HISTORY: bool = False
    """Whether each published model has the log's History page in Django's admin, also without `HistoryMixin`."""
    HEALTH: str = "token"
    """The audience of the health page: `token`, only consumers; `public`, any caller, but only in a word."""
    HEALTH_LAG: float = 300.0
    """How far an active subscription may be behind before the service is not well, in seconds."""
    POLL_INTERVAL: float = 0.02
    """How often a busy worker looks at the log, in seconds."""
    IDLE_INTERVAL: float = 0.25
    """How often an idle worker looks at the log, at the least, in seconds."""
    LEASE: float = 15.0
    """How long a worker that is not heard of keeps its subscriptions, in seconds."""
    CONNECT_TIMEOUT: float = 5.0
    """How long a callback may take to accept a connection, in seconds."""
    READ_TIMEOUT: float = 30.0
    """How long a callback may take to answer a notification, in seconds."""
    CALLBACK_ADDRESSES: tuple[str, ...] = ()
    """Networks, as `10.1.0.0/16`, that callbacks may be in besides public addresses."""
    CALLBACK_HOSTS: tuple[str, ...] = ()
    """Hosts that callbacks may use at any address; `.example.com` includes all its subdomains."""
    VERIFY: str = "off"
    """Whether receivers must consent: `off` or `on` by default, or `always`, against a subscription's own choice."""
    ORIGIN: str = ""
    """The name that consent is asked under, as of a host; SERVICE_NAME where empty."""
    BACKOFF_FIRST: float = 1.0
    """The first wait after a failed notification, in seconds; each further one doubles it."""
    BACKOFF_LIMIT: float = 3600.0
    """The longest wait between two attempts, in seconds."""
    BREAKER_FAILURES: int = 5
    """After how many failures in a row, without an answer in between, a callback's host is tried by one alone."""
    BREAKER_LIMIT: float = 60.0
    """The longest wait between two attempts to reach a host that does not answer, in seconds."""
    DISABLE_AFTER: float = 5 * 86400.0
    """How long a subscription may keep failing before it is disabled, in seconds."""
    SET_ASIDE_AFTER: int = 8
    """How often a receiver may refuse a page before the change that it does not take is looked for and set aside."""
    SET_ASIDE_LIMIT: int = 100
    """How many changes of a subscription may be set aside at a time; one more disables it."""
    RETENTION: float = 0.0
    """How long changes are kept, in seconds; 0 keeps them all. Some are kept for up to a quarter longer."""
    PARTITION_SIZE: int = 10_000_000
    """How many versions a partition of the log takes, at most 1000000000."""
    LOCK_WAIT: float = 60.0
    """How long `migrate` and the like try for a table that others have locked, in seconds; no writer waits for them."""
    MAINTAIN_INTERVAL: float = 60.0
    """How often a worker looks after the log's partitions, in seconds."""
    DRAIN: float = 20.0
    """Seconds in which a worker that is told to stop may finish the calls that it has begun."""
    SECRET_KEYS: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """Keys of stored secrets: the first encrypts, all decrypt. Empty: SECRET_KEY and SECRET_KEY_FALLBACKS."""
    SECRET_OVERLAP: float = 86_400.0
    """How long the secret before a new one goes on signing beside it, in seconds."""
    PUBLIC_KEYS: str = "consumers"
    """The audience of the public keys of signatures: `consumers`, with their tokens, or `everyone`."""
    SERVICES: dict[str, dict[str, Any]] | None = dataclasses.field(default=None, repr=False)
    """The services that are followed, by name: each a dict of `url`, `token`; for pushes, `secrets` and `origin`."""
    RECEIVE_LIMIT: int = 16_000_000
    """The longest notification that the receiving view reads, in bytes."""


DEFAULTS = Settings()


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


def given() -> Any:
    """Return PUBSUBPULL as it stands in Django's settings."""
    return getattr(django_settings, NAME, {})


@functools.cache
def get() -> Settings:
    """Return the settings in force. A wrong one is a system check's error; here it raises `SettingsError`."""
    values = given()
    for name, reason in problems(values):
        raise exceptions.SettingsError(f"{NAME}: {name} {reason}.")
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Settings(**frozen)


def _changed(*, setting: str, **_: Any) -> None:
    if setting in {NAME, *ALIASES.values()}:
        get.cache_clear()


setting_changed.connect(_changed)
