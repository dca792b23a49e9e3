"""The operations of changes in one table: the letter in the log, the names, and whether a change has a key.

Each other list of operations, in Python and in the SQL that writes names, is derived from this table.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

Name = Literal["insert", "update", "delete", "truncate", "uncaptured", "event"]
"""The names of operations in the feed."""
RowName = Literal["insert", "update", "delete"]
"""The names of operations on one row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Op:
    """An operation."""

    letter: str
    """The letter in the log."""
    name: str
    """The name on the wire, in the text of a change."""
    trail: str
    """The name in the history of an object."""
    label: str
    """The name where all operations of the log are told apart."""
    whole: bool = False
    """True if a change is of its whole table, so that it has no key."""


INSERT = Op(letter="I", name="insert", trail="insert", label="insert")
UPDATE = Op(letter="U", name="update", trail="update", label="update")
DELETE = Op(letter="D", name="delete", trail="delete", label="delete")
TRUNCATE = Op(letter="T", name="truncate", trail="truncate", label="truncate", whole=True)
UNCAPTURED = Op(letter="O", name="uncaptured", trail="uncaptured", label="uncaptured", whole=True)
"""Rows of the table may have changed without changes."""
EVENT = Op(letter="V", name="event", trail="event", label="event")
"""A domain event: `new` is its data, and there is no row."""
ERASE = Op(letter="E", name="erase", trail="erase", label="erase")
"""An erased change, without its values and its key. The feed skips it."""
ERASED_DELETE = Op(letter="X", name="delete", trail="erase", label="erased delete")
"""An erased delete, of which the key is left. Readers of the feed get it as a delete."""
SNAPSHOT = Op(letter="S", name="snapshot", trail="snapshot", label="snapshot")
"""A row of a backfill, sent before the changes of a subscription. The log has no such changes."""

FEED = (INSERT, UPDATE, DELETE, TRUNCATE, UNCAPTURED, EVENT)
"""The operations of the feed, one for each name."""
LOG = (*FEED, ERASE, ERASED_DELETE)
"""The operations of the log."""

OP_NAMES: tuple[Name, ...] = get_args(Name)
ROW_NAMES: tuple[RowName, ...] = get_args(RowName)
WHOLE_NAMES = frozenset(op.name for op in FEED if op.whole)
LETTERS = {op.name: op.letter for op in FEED}
"""The letter of each name."""
WHOLE_LETTERS = frozenset(op.letter for op in LOG if op.whole)
WIRE = {op.letter: op.name for op in LOG}
"""The name on the wire of each letter of the log."""
TRAIL = {op.letter: op.trail for op in LOG}
"""The name in the history of each letter of the log."""
