"""HTTP requests as contexts, and how they ended."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.utils import functional
from psycopg.pq import TransactionStatus

from pubsubpull import conf, exceptions
from pubsubpull.audit.context import context as audit
from pubsubpull.audit.context import tracing
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.http import HttpRequest

    from pubsubpull.audit.context.context import Context

logger = logging.getLogger("pubsubpull")


def opened(request: HttpRequest) -> Context:
    """Return the context of a request. Who makes it is read when the first change is written."""
    given = {
        "method": request.method,
        "path": request.path,
        "ip": ip(request),
        "user_agent": request.headers.get("User-Agent"),
        "correlation_id": correlation_id(request),
        **tracing.asked(request),
    }
    return audit.Context(
        id=audit.uuid7(),
        source="http",
        started=time.monotonic(),
        given=audit.clean(given),
        metadata={},
        who=functools.partial(_who, request),
        known=functools.partial(_known, request),
        ends=set(),
        late=functools.partial(_route, request),
    )


def ip(request: HttpRequest) -> str | None:
    """Return the caller's address: the one that the outermost of one's own proxies saw, never what the caller wrote."""
    try:
        proxies = conf.get().TRUSTED_PROXIES
    except exceptions.SettingsError:  # a system check tells of it; a request must not fail for it
        proxies = 0
    seen = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if proxies and len(seen) >= proxies and seen[-proxies]:
        return seen[-proxies]
    return request.META.get("REMOTE_ADDR")


def admin_history() -> bool:
    """Say whether the setting ADMIN_HISTORY is on; a system check tells where it cannot be read."""
    try:
        return conf.get().ADMIN_HISTORY
    except exceptions.SettingsError:
        return False


def correlation_id(request: HttpRequest) -> str | None:
    """Return the id by which other services know this request: X-Request-ID, or the trace id of traceparent."""
    given = request.headers.get("X-Request-ID")
    parts = request.headers.get("traceparent", "").split("-")
    return given or (parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None)


def finish(at_hand: Context, status: int) -> None:
    """Note the status and the duration of a request, in each database that has written a row of it, and else nowhere.

    The rows of contexts within it are told too.
    """
    now = time.monotonic()
    for alias in sorted({end.alias for end in at_hand.ends or ()}):
        ended = {end.id: now - end.started for end in at_hand.ends or () if end.alias == alias}
        # Whose row it is was read for its first change, unless that was made by a function within a SELECT.
        who = audit.who(at_hand)
        _note(
            alias,
            "how request %s ended",
            at_hand,
            "queries/requests/finish",
            request=at_hand.id,
            requests=list(ended),
            seconds=list(ended.values()),
            status=status,
            user_id=audit.clean(who.id) if who else None,
            user_name=audit.clean(who.name) if who else None,
        )


def annotate(**metadata: Any) -> None:
    """Add to the metadata of the request, command or context at hand, for what it has changed as for what it will.

    `metadata` is whatever JSON can hold; other raises `ContextError`. Outside of any context nothing is kept, and a
    warning is logged.
    """
    at_hand = audit.current()
    if at_hand is None:
        logger.warning("pubsubpull: annotate() outside of any request, command or context: nothing keeps its metadata")
        return
    added = audit.as_json(metadata)
    at_hand.metadata = audit.as_json({**at_hand.metadata, **added})
    at_hand.revision += 1
    for alias in sorted(at_hand.written):
        _note(
            alias,
            "what annotate() adds to %s",
            at_hand,
            "queries/requests/annotate",
            request=at_hand.id,
            added=json.dumps(added, ensure_ascii=False),
        )


def _note(alias: str, what: str, at_hand: Context, query: str, **parts: Any) -> None:
    """Note something in the row of a request. Whatever goes wrong is logged, and fails nothing that is open there."""
    connection = connections[alias]
    if connection.needs_rollback:
        return
    found_open = connection.connection is not None
    try:
        with _savepoint(connection):
            sql.run(alias, sql.compose(query, **parts))
    except Exception as error:  # noqa: BLE001  the answer may have gone: nothing may fail for this
        logger.warning(f"pubsubpull: {what} is not noted: %s", at_hand.id, type(error).__name__)  # noqa: G004
    finally:
        # The answer may be closed in another thread than wrote, where no one would close a connection.
        if not found_open:
            connection.close()


def _savepoint(connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[Any]:
    """Return a savepoint below Django's log of queries, or nothing where no transaction is open."""
    connection.ensure_connection()
    pg = connection.connection
    if pg.autocommit and pg.info.transaction_status == TransactionStatus.IDLE:
        return contextlib.nullcontext()
    found: contextlib.AbstractContextManager[Any] = pg.transaction()
    return found


def _who(request: Any) -> audit.Who | None:
    user = getattr(request, "user", None)
    if not (isinstance(user, functional.LazyObject) and user._wrapped is functional.empty):
        return audit.as_who(user)
    # It is read from a database now. Where that fails, what is open there must live on.
    with contextlib.ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block and connection.vendor == "postgresql":
                stack.enter_context(_kept(connection))
        return audit.as_who(user)


@contextlib.contextmanager
def _kept(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let a transaction of Django's outlive what fails within, below its log of queries."""
    pg, before = connection.connection, connection.needs_rollback
    if pg.info.transaction_status == TransactionStatus.IDLE:
        pg.execute("")  # psycopg begins the transaction for it; of one that it had begun itself it would make an end
    try:
        with pg.transaction():
            yield
    finally:
        connection.needs_rollback = before


def _known(request: Any) -> audit.Who | None:
    """Return who it is where the user has been read already."""
    user = getattr(request, "user", None)
    return None if isinstance(user, functional.LazyObject) and user._wrapped is functional.empty else audit.as_who(user)


def _route(request: HttpRequest) -> dict[str, Any]:
    match = getattr(request, "resolver_match", None)
    return {"route": (match.view_name or match.route) if match else None}
