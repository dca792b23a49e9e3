"""Every error that pubsubpull raises on purpose.

Their tree::

    PubSubPullError
    ├── PublicationError        a model cannot be published as asked
    ├── SettingsError           a setting of PUBSUBPULL is wrong
    ├── CursorError             a cursor cannot be used
    │   ├── CursorInvalid       it does not decode
    │   └── CursorExpired       it is of another history of the log, or older than what is kept
    ├── LogIsReadOnly           the ORM was asked to write to the change log
    ├── ContextError            the metadata of a context is not JSON
    ├── MetricsUnavailable      the package that writes metrics is not installed
    ├── RowsHidden              row level security hides rows of a table from who reads it
    ├── InvalidKey              a key does not fit the model's primary key
    ├── InvalidColumn           a column is not one that readers get
    ├── TooLarge                what is asked for is more than an answer may have
    ├── HistoryError            a history cannot be read as asked
    │   ├── HistoryErased       what it would tell was erased on request
    │   └── HistoryUncaptured   what it would tell was not captured
    ├── RestoreError            an earlier state cannot be written back
    ├── ImportFailed            another package's past cannot be brought into the log
    ├── ProtectionError         the log cannot be protected as asked
    ├── DumpError               a file is no whole dump of what it should be
    ├── SecretError             a stored secret cannot be read
    ├── SubscriptionError       a subscription cannot be made as asked; names the field
    ├── ReplicaError            a replica cannot be declared or followed as asked
    │   └── ReplicaFailed       one could not apply what came; names the replica
    └── ServiceError            another service's answer to the client
        ├── Unavailable         it could not be reached, or said so (may be retried)
        └── Refused             it refused the call; carries its problem document
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


class ContextError(PubSubPullError):
    """The metadata of a context is not JSON."""


class MetricsUnavailable(PubSubPullError):
    """The package that writes metrics is not installed."""


class RowsHidden(PubSubPullError):
    """Row level security hides rows of a table from the database's role, so that it cannot be read whole."""


class InvalidKey(PubSubPullError):
    """A key does not fit the model's primary key."""


class InvalidColumn(PubSubPullError):
    """A column is not one that readers get."""


class TooLarge(PubSubPullError):
    """What is asked for is more than one answer may have: it is to be asked for in parts."""


class HistoryError(PubSubPullError):
    """A history cannot be read as asked."""


class HistoryErased(HistoryError):
    """What the log knew was erased on somebody's request, and no later change tells it."""


class HistoryUncaptured(HistoryError):
    """Capture had been switched off, and no later change tells what rows were."""


class RestoreError(PubSubPullError):
    """An earlier state cannot be written back: `columns` names those that stand in the way, if any do."""

    def __init__(self, reason: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.columns = columns


class ImportFailed(PubSubPullError):
    """Another package's past cannot be brought into the log."""


class ProtectionError(PubSubPullError):
    """The log cannot be protected as asked."""


class DumpError(PubSubPullError):
    """A file is no whole dump of what it should be."""


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
    """A replica could not apply what came: the page stays to be applied. `name` is the replica's.

    `needs` is the replica that its rows refer to, or that refers to them, where that one stands elsewhere.
    """

    def __init__(self, name: str, reason: str, *, needs: str | None = None) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason
        self.needs = needs


class ServiceError(PubSubPullError):
    """Another service did not give what was asked for."""


class Unavailable(ServiceError):
    """The service could not be reached, or answered that it cannot serve now."""


class Refused(ServiceError):
    """The service refused the call.

    `status` is the HTTP status, `problem` the problem document (RFC 9457), empty where the answer had none; then
    `reason` is what is said instead.
    """

    def __init__(self, status: int, problem: dict[str, Any], reason: str = "no reason given") -> None:
        super().__init__(f"{status}: {problem.get('detail') or problem.get('title') or reason}")
        self.status = status
        self.problem = problem
