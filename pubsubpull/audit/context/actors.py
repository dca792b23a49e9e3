"""The user behind a change, as text."""

from __future__ import annotations

import contextvars
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("pubsubpull")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actor:
    """A user as the log has it."""

    id: str
    """The primary key as text; the name if the application passed only a name."""
    name: str
    """The user name."""


_reading: contextvars.ContextVar[bool] = contextvars.ContextVar("pubsubpull.user", default=False)


def of(user: Any) -> Actor | None:
    """Return the actor for a user object or a name; None for None, an empty name and an anonymous user."""
    if user is None or isinstance(user, str):
        return Actor(id=user, name=user) if user else None
    if not getattr(user, "is_authenticated", True):
        return None
    name = user.get_username() if hasattr(user, "get_username") else user
    return Actor(id=str(getattr(user, "pk", user)), name=str(name))


def reading() -> bool:
    """Return True while `read` is running in this thread or task."""
    return _reading.get()


def read(actor: Callable[[], Actor | None]) -> Actor | None:
    """Return the result of a context's `actor`; None, with a warning in the log, if it raises an error."""
    # The query that reads the user must not announce the context: that would read the user, without an end.
    token = _reading.set(True)
    try:
        return actor()
    # A write of the application must not fail because its user class does.
    except Exception as error:  # noqa: BLE001
        logger.warning("pubsubpull: the user of a change cannot be read: %s", type(error).__name__)
        return None
    finally:
        _reading.reset(token)
