"""Every change of a Django service's PostgreSQL: captured, audited, pushed and pulled, completely and in order."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pubsubpull.capture.publishing import publish, unpublish
from pubsubpull.exceptions import Refused, RetryAfter

if TYPE_CHECKING:
    from pubsubpull.audit.context.blocks import context
    from pubsubpull.audit.context.requests import annotate
    from pubsubpull.audit.context.uncaptured import uncaptured
    from pubsubpull.audit.history.history import history
    from pubsubpull.audit.history.moments import as_of
    from pubsubpull.audit.history.restore import restore
    from pubsubpull.log.resend import resend
    from pubsubpull.pull.client import Client
    from pubsubpull.replica.declaration import VERSION, constant
    from pubsubpull.replica.declare import replicates
    from pubsubpull.replica.handlers.declare import on_change, on_event
    from pubsubpull.replica.handlers.event import Event

__all__ = [
    "VERSION",
    "Client",
    "Event",
    "Refused",
    "RetryAfter",
    "__version__",
    "annotate",
    "as_of",
    "constant",
    "context",
    "emit",
    "emit_many",
    "event",
    "history",
    "on_change",
    "on_event",
    "publish",
    "replicates",
    "resend",
    "restore",
    "uncaptured",
    "unpublish",
]
__version__ = version("pubsubpull")

# The client needs `requests`, which a service that only publishes should not pay to import.
_LAZY = {
    "Client": "pubsubpull.pull.client",
    "Event": "pubsubpull.replica.handlers.event",
    "VERSION": "pubsubpull.replica.declaration",
    "annotate": "pubsubpull.audit.context.requests",
    "as_of": "pubsubpull.audit.history.moments",
    "constant": "pubsubpull.replica.declaration",
    "emit": "pubsubpull.events.emit",
    "emit_many": "pubsubpull.events.emit",
    "event": "pubsubpull.events.declare",
    "context": "pubsubpull.audit.context.blocks",
    "history": "pubsubpull.audit.history.history",
    "on_change": "pubsubpull.replica.handlers.declare",
    "on_event": "pubsubpull.replica.handlers.declare",
    "replicates": "pubsubpull.replica.declare",
    "resend": "pubsubpull.log.resend",
    "restore": "pubsubpull.audit.history.restore",
    "uncaptured": "pubsubpull.audit.context.uncaptured",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
