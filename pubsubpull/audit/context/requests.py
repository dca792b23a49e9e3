"""The contexts of HTTP requests, and the updates of the rows that they have written."""

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
from pubsubpull.audit.context import actors, contexts, json_data, tracing
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.http import HttpRequest

    from pubsubpull.audit.context.actors import Actor
    from pubsubpull.audit.context.contexts import Context

logger = logging.getLogger("pubsubpull")


def opened(request: HttpRequest) -> Context:
    """Return a new context for a request. The user and the route are read when the first change is written."""
    attributes = {
        "method": request.method,
        "path": request.path,
        "ip": ip(request),
        "user_agent": request.headers.get("User-Agent"),
        "correlation_id": correlation_id(request),
        **tracing.asked(request),
    }
    return contexts.Context(
        id=contexts.uuid7(),
        source="http",
        started=time.monotonic(),
        attributes=json_data.clean(attributes),
        metadata={},
        actor=functools.partial(_actor, request),
        known_actor=functools.partial(_known_actor, request),
        rows=set(),
        late_attributes=functools.partial(_route, request),
    )


def ip(request: HttpRequest) -> str | None:
    """Return the caller's address, as the outermost of TRUSTED_PROXIES proxies recorded it in X-Forwarded-For.

    Without trusted proxies it is REMOTE_ADDR.
    """
    try:
        proxies = conf.get().TRUSTED_PROXIES
    # A system check reports wrong settings. A request must not fail because of them.
    except exceptions.SettingsError:
        proxies = 0
    # Counted from the end: each proxy appends, so a caller can forge the beginning only.
    addresses = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    if proxies and len(addresses) >= proxies and addresses[-proxies]:
        return addresses[-proxies]
    return request.META.get("REMOTE_ADDR")


def admin_history() -> bool:
    """Return the setting ADMIN_HISTORY; False if the settings are wrong, which a system check reports."""
    try:
        return conf.get().ADMIN_HISTORY
    except exceptions.SettingsError:
        return False


def correlation_id(request: HttpRequest) -> str | None:
    """Return the id that other services have for this request: X-Request-ID, else the trace id of `traceparent`."""
    request_id = request.headers.get("X-Request-ID")
    parts = request.headers.get("traceparent", "").split("-")
    return request_id or (parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None)


def finish(context: Context, status: int) -> None:
    """Record the status and the duration of a request in its rows, and in those of the contexts within it.

    Only databases that have written such a row are updated: a request without changes costs no query.
    """
    now = time.monotonic()
    for alias in sorted({row.alias for row in context.rows or ()}):
        seconds = {row.id: now - row.started for row in context.rows or () if row.alias == alias}
        # The first change has read the user, except if a function called by a SELECT made it.
        actor = actors.read(context.actor)
        _update(
            alias,
            "the end of request %s",
            context,
            "queries/requests/finish",
            request=context.id,
            requests=list(seconds),
            seconds=list(seconds.values()),
            status=status,
            user_id=json_data.clean(actor.id) if actor else None,
            user_name=json_data.clean(actor.name) if actor else None,
        )


def annotate(**metadata: Any) -> None:
    """Add metadata to the current request, command or context. Its earlier changes get it as well.

    `metadata` is any JSON data. Raises `ContextError` if it is no JSON, too long or nested too deep. Without a current
    context a warning is logged, and the metadata is dropped.
    """
    context = contexts.current()
    if context is None:
        logger.warning("pubsubpull: annotate() outside of any request, command or context: nothing keeps its metadata")
        return
    added = json_data.as_json(metadata)
    context.metadata = json_data.as_json({**context.metadata, **added})
    context.revision += 1
    for alias in sorted(context.written):
        _update(
            alias,
            "the metadata of annotate() for %s",
            context,
            "queries/requests/annotate",
            request=context.id,
            added=json.dumps(added, ensure_ascii=False),
        )


def _update(alias: str, subject: str, context: Context, query: str, **parts: Any) -> None:
    """Update the rows of a request. An error is logged and leaves an open transaction usable.

    `subject` names the update in the log, with a %s for the id of the request.
    """
    connection = connections[alias]
    if connection.needs_rollback:
        return
    was_open = connection.connection is not None
    try:
        with _savepoint(connection):
            sql.run(alias, sql.compose(query, **parts))
    # The response may have been sent already, so nothing may fail because of its record.
    except Exception as error:  # noqa: BLE001
        logger.warning(f"pubsubpull: {subject} is not noted: %s", context.id, type(error).__name__)  # noqa: G004
    finally:
        # The server may close the response in another thread, and nothing else would close a connection there.
        if not was_open:
            connection.close()


def _savepoint(connection: BaseDatabaseWrapper) -> contextlib.AbstractContextManager[Any]:
    """Return a savepoint that Django's log of queries does not show; nothing if no transaction is open."""
    connection.ensure_connection()
    pg = connection.connection
    if pg.autocommit and pg.info.transaction_status == TransactionStatus.IDLE:
        return contextlib.nullcontext()
    savepoint: contextlib.AbstractContextManager[Any] = pg.transaction()
    return savepoint


def _is_unread(user: Any) -> bool:
    """Return True for the lazy object of Django's authentication before its first use."""
    return isinstance(user, functional.LazyObject) and user._wrapped is functional.empty


def _actor(request: Any) -> Actor | None:
    """Return the user of a request. The database is queried for it if nothing has read it yet."""
    user = getattr(request, "user", None)
    if not _is_unread(user):
        return actors.of(user)
    # The query for the user may fail within a transaction of the application, which must stay usable.
    with contextlib.ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block and connection.vendor == "postgresql":
                stack.enter_context(_guarded(connection))
        return actors.of(user)


@contextlib.contextmanager
def _guarded(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Keep a transaction of Django usable if the block fails. Django's log of queries does not show the savepoint."""
    pg, needed_rollback = connection.connection, connection.needs_rollback
    # psycopg would commit a transaction that its `transaction()` began. An empty query begins it before, for Django.
    if pg.info.transaction_status == TransactionStatus.IDLE:
        pg.execute("")
    try:
        with pg.transaction():
            yield
    finally:
        # An inner atomic block that failed has set this, but the savepoint has undone its writes.
        connection.needs_rollback = needed_rollback


def _known_actor(request: Any) -> Actor | None:
    """Return the user of a request if something has read it already."""
    user = getattr(request, "user", None)
    return None if _is_unread(user) else actors.of(user)


def _route(request: HttpRequest) -> dict[str, Any]:
    match = getattr(request, "resolver_match", None)
    return {"route": (match.view_name or match.route) if match else None}
