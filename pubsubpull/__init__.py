"""Every change of a Django service's PostgreSQL: captured, audited, pushed and pulled, completely and in order."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pubsubpull.capture.registry import publish, unpublish

if TYPE_CHECKING:
    from pubsubpull.audit.context import context
    from pubsubpull.audit.history import history
    from pubsubpull.audit.moments import as_of
    from pubsubpull.audit.requests import annotate
    from pubsubpull.audit.restore import restore
    from pubsubpull.audit.uncaptured import uncaptured
    from pubsubpull.pull.client import Client
    from pubsubpull.pull.resend import resend
    from pubsubpull.replica.declared import VERSION, constant
    from pubsubpull.replica.declaring import replicates
    from pubsubpull.replica.handlers import on_change

__all__ = [
    "VERSION",
    "Client",
    "__version__",
    "annotate",
    "as_of",
    "constant",
    "context",
    "history",
    "on_change",
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
    "VERSION": "pubsubpull.replica.declared",
    "annotate": "pubsubpull.audit.requests",
    "as_of": "pubsubpull.audit.moments",
    "constant": "pubsubpull.replica.declared",
    "context": "pubsubpull.audit.context",
    "history": "pubsubpull.audit.history",
    "on_change": "pubsubpull.replica.handlers",
    "replicates": "pubsubpull.replica.declaring",
    "resend": "pubsubpull.pull.resend",
    "restore": "pubsubpull.audit.restore",
    "uncaptured": "pubsubpull.audit.uncaptured",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
