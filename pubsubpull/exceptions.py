"""Every error that pubsubpull raises on purpose.

Their tree::

    PubSubPullError
    ├── PublicationError        a model cannot be published as asked
    ├── SettingsError           a setting of PUBSUBPULL is wrong
    ├── CursorError             a cursor cannot be used
    │   ├── CursorInvalid       it does not decode
    │   └── CursorExpired       it is of another history of the log, or older than what is kept
    ├── LogIsReadOnly           the ORM was asked to write to the change log
    ├── EventError              an event cannot be declared, emitted or read as asked; names the field
    ├── ContextError            the metadata of a context is not JSON
    ├── MetricsUnavailable      the package that writes metrics is not installed
    ├── RowsHidden              row level security hides rows of a table from the reader
    ├── Unreadable              PostgreSQL cannot give a row of a published table; names the model and the key
    ├── InvalidKey              a key does not fit the model's primary key
    ├── InvalidColumn           a column is not one that readers get
    ├── TooLarge                an answer would have more than is allowed
    ├── HistoryError            a history cannot be read as asked
    │   ├── HistoryErased       its data was erased on request
    │   └── HistoryUncaptured   its data was not captured
    ├── RestoreError            an earlier state cannot be written back
    ├── ImportFailed            another package's past cannot be brought into the log
    ├── ProtectionError         the log cannot be protected as asked
    ├── DumpError               a file is no whole dump of its model
    ├── SecretError             a stored secret cannot be read
    ├── SubscriptionError       a subscription cannot be made as asked; names the field
    ├── ReplicaError            a replica cannot be declared or followed as asked
    │   └── ReplicaFailed       a replica could not apply a page; names the replica
    ├── RetryAfter              raised by a handler: try this again later; carries the seconds
    ├── Refused                 raised by a handler: this will never be handled
    └── ServiceError            another service's answer to the client
        ├── Unavailable         it could not be reached, or said so (may be retried)
        └── RequestRefused      it refused the call; carries its problem document
"""

from __future__ import annotations

from typing import Any


class PubSubPullError(Exception):
    """The root of the tree."""


class PublicationError(PubSubPullError):
    """A model cannot be published as asked."""


class SettingsError(PubSubPullError):
    """A setting of PUBSUBPULL is wrong."""


class CursorError(PubSubPullError):
    """A cursor cannot be used."""


class CursorInvalid(CursorError):
    """A text is no cursor."""


class CursorExpired(CursorError):
    """A cursor was good once, or elsewhere: all instances must be read again."""


class LogIsReadOnly(PubSubPullError):
    """The ORM was asked to write to the change log, which only its own functions do."""


class EventError(PubSubPullError):
    """An event cannot be declared, emitted or read as asked. `field` names the field, `label` the event."""

    def __init__(self, field: str, reason: str, *, label: str) -> None:
        super().__init__(f"{label or 'an event'}: {field} {reason}")
        self.field = field
        self.reason = reason
        self.label = label


class ContextError(PubSubPullError):
    """The metadata of a context is not JSON."""


class MetricsUnavailable(PubSubPullError):
    """The package that writes metrics is not installed."""


class RowsHidden(PubSubPullError):
    """Row level security hides rows of a table from the database's role, so that it cannot be read whole."""


class Unreadable(PubSubPullError):
    """PostgreSQL cannot give a row of a published table as JSON.

    `label` is the model, `key` that of the row, or None if it was not found in time.
    """

    def __init__(self, label: str, key: str | None, reason: str) -> None:
        row = f"{label} {key}" if key is not None else f"A row of {label}"
        super().__init__(f"{row} cannot be read: PostgreSQL fails to write it as JSON ({reason}).")
        self.label = label
        self.key = key


class InvalidKey(PubSubPullError):
    """A key does not fit the model's primary key."""


class InvalidColumn(PubSubPullError):
    """A column that readers do not get."""


class TooLarge(PubSubPullError):
    """One answer would have more than is allowed: ask for it in parts."""


class HistoryError(PubSubPullError):
    """A history cannot be read as asked."""


class HistoryErased(HistoryError):
    """The data was erased from the log on request, and no later change tells it."""


class HistoryUncaptured(HistoryError):
    """Capture had been switched off, and no later change tells the rows' state."""


class RestoreError(PubSubPullError):
    """An earlier state cannot be written back. `columns` names the columns that prevent it, if any do."""

    def __init__(self, reason: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.columns = columns


class ImportFailed(PubSubPullError):
    """Another package's past cannot be brought into the log."""


class ProtectionError(PubSubPullError):
    """The log cannot be protected as asked."""


class DumpError(PubSubPullError):
    """A file is no whole dump of its model."""


class SecretError(PubSubPullError):
    """A stored secret cannot be read."""


class SubscriptionError(PubSubPullError):
    """A subscription cannot be made as asked."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ReplicaError(PubSubPullError):
    """A replica cannot be declared or followed as asked."""


class ReplicaFailed(ReplicaError):
    """A replica could not apply a page, which stays to be applied. `name` is the replica's name.

    `needs` is another replica to which it is tied by a foreign key, if that replica has another position. `version`
    is the version of the change on which a handler failed, or of the first of several that it was given together.
    """

    def __init__(self, name: str, reason: str, *, needs: str | None = None, version: int | None = None) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.needs = needs
        self.version = version


class RetryAfter(PubSubPullError):
    """Raised by a handler that cannot handle a change or event yet: it is tried again after `seconds`.

    That is no failure, so it never leads to parking, however often it is raised.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(f"again in {seconds:g} s" + (f": {reason}" if reason else ""))
        self.seconds = max(0.0, float(seconds))


class Refused(PubSubPullError):
    """Raised by a handler that will never handle a change or event: it is parked at once, or fails for good.

    With `on_failure="park"` no further try is made before it is parked. Otherwise the handler waits for a person, and
    is tried again after BACKOFF_LIMIT.
    """


class ServiceError(PubSubPullError):
    """Another service did not answer as asked."""


class Unavailable(ServiceError):
    """The service could not be reached, or answered that it cannot serve now."""


class RequestRefused(ServiceError):
    """The service refused the call.

    `status` is the HTTP status, and `problem` the problem document (RFC 9457). If the answer had none, `problem` is
    empty and `reason` is a text about the answer.
    """

    def __init__(self, status: int, problem: dict[str, Any], reason: str = "no reason given") -> None:
        super().__init__(f"{status}: {problem.get('detail') or problem.get('title') or reason}")
        self.status = status
        self.problem = problem
