"""The settings by name, with their defaults and meanings."""

from __future__ import annotations

import dataclasses
from typing import Any


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
    """The most requests a second that a consumer may make, counted over ten seconds."""
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
    """The audience of `health/`: `token` for consumers only; with `public`, a call without a token gets one word."""
    HEALTH_LAG: float = 300.0
    """How far an active subscription may be behind before the service is not well, in seconds."""
    POLL_INTERVAL: float = 0.02
    """The wait of a busy worker, and of `pubsubpull_work`, between two looks at the log, in seconds."""
    IDLE_INTERVAL: float = 0.25
    """The longest wait of an idle worker between two looks at the log, in seconds."""
    LEASE: float = 15.0
    """How long a worker keeps its subscriptions after its last sign of life, in seconds."""
    CONNECT_TIMEOUT: float = 5.0
    """How long a callback may take to accept a connection, in seconds."""
    READ_TIMEOUT: float = 30.0
    """How long a callback may take to answer a notification, in seconds."""
    CALLBACK_ADDRESSES: tuple[str, ...] = ()
    """Networks, such as `10.1.0.0/16`, that callbacks may be in besides public addresses."""
    CALLBACK_HOSTS: tuple[str, ...] = ()
    """Hosts that callbacks may use at any address; `.example.com` includes all its subdomains."""
    TRANSPORTS: tuple[str, ...] = ()
    """Dotted names of your own transports' classes: each sends to callbacks of further schemes."""
    VERIFY: str = "off"
    """Whether receivers must consent: `off` or `on`, unless a subscription chooses otherwise, or `always`."""
    ORIGIN: str = ""
    """The name under which consent is asked for, such as the service's host; SERVICE_NAME if it is empty."""
    BACKOFF_FIRST: float = 1.0
    """The first wait after a failed notification, in seconds; each further one doubles it."""
    BACKOFF_LIMIT: float = 3600.0
    """The longest wait between two attempts, in seconds."""
    BREAKER_FAILURES: int = 5
    """The failures in a row, with no answer in between, after which one notification alone tries a callback's host."""
    BREAKER_LIMIT: float = 60.0
    """The longest wait between two attempts to reach a host that does not answer, in seconds."""
    DISABLE_AFTER: float = 5 * 86400.0
    """How long a subscription may keep failing before it is disabled, in seconds."""
    SET_ASIDE_AFTER: int = 8
    """The refusals of a page after which the refused change is searched for and set aside."""
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
    """How long the previous secret still signs beside a new one, in seconds."""
    PUBLIC_KEYS: str = "consumers"
    """The audience of the public keys of signatures: `consumers`, with their tokens, or `everyone`."""
    SERVICES: dict[str, dict[str, Any]] | None = dataclasses.field(default=None, repr=False)
    """The services that are followed, by name: each a dict of `url`, `token`; for pushes, `secrets` and `origin`."""
    EVENT_LIMIT: int = 1_000_000
    """The largest event, in characters of its JSON text."""
    RECEIVE_LIMIT: int = 16_000_000
    """The longest notification that the receiving view reads, in bytes."""


DEFAULTS = Settings()
