"""Every change of a Django service's PostgreSQL: captured, audited, pushed and pulled, completely and in order."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pubsubpull.capture.registry import publish, unpublish

if TYPE_CHECKING:
    from pubsubpull.audit.context import context
    from pubsubpull.pull.client import Client

__all__ = ["Client", "__version__", "context", "publish", "unpublish"]
__version__ = version("pubsubpull")

# The client needs `requests`, which a service that only publishes should not pay to import.
_LAZY = {"Client": "pubsubpull.pull.client", "context": "pubsubpull.audit.context"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
