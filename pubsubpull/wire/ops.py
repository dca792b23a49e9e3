"""The operations of changes, in one table: the letter in the log, the name on the wire, and what each is about.

Each other list of operations, in Python and in the SQL that writes names, is made of this one.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

Name = Literal["insert", "update", "delete", "truncate", "uncaptured", "event"]
"""The names that changes of the feed may have."""
RowName = Literal["insert", "update", "delete"]
"""Those of them that are of one row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Op:
    """What a change did."""

    letter: str
    """Its letter in the log."""
    name: str
    """Its name on the wire, in the text of a change."""
    trail: str
    """Its name in the history of an object."""
    label: str
    """Its name where all operations of the log are told apart."""
    whole: bool = False
    """True where the change is of its whole table, so that it has no key."""


INSERT = Op(letter="I", name="insert", trail="insert", label="insert")
UPDATE = Op(letter="U", name="update", trail="update", label="update")
DELETE = Op(letter="D", name="delete", trail="delete", label="delete")
TRUNCATE = Op(letter="T", name="truncate", trail="truncate", label="truncate", whole=True)
UNCAPTURED = Op(letter="O", name="uncaptured", trail="uncaptured", label="uncaptured", whole=True)
"""Rows of the table may have changed without changes."""
EVENT = Op(letter="V", name="event", trail="event", label="event")
"""A domain event: `new` is its data, and there is no row."""
ERASE = Op(letter="E", name="erase", trail="erase", label="erase")
"""A change of which nothing is left but that it was. The feed passes it by."""
ERASED_DELETE = Op(letter="X", name="delete", trail="erase", label="erased delete")
"""A delete of which only the key is left."""
SNAPSHOT = Op(letter="S", name="snapshot", trail="snapshot", label="snapshot")
"""A row as it is, sent before the changes of a subscription. The log has none."""

FEED = (INSERT, UPDATE, DELETE, TRUNCATE, UNCAPTURED, EVENT)
"""One for each name that changes of the feed may have."""
LOG = (*FEED, ERASE, ERASED_DELETE)
"""All that the log may have."""

NAMES: tuple[Name, ...] = get_args(Name)
ROW_NAMES: tuple[RowName, ...] = get_args(RowName)
WHOLE_NAMES = frozenset(op.name for op in FEED if op.whole)
LETTERS = {op.name: op.letter for op in FEED}
"""The letter of each name."""
WHOLE_LETTERS = frozenset(op.letter for op in LOG if op.whole)
WIRE = {op.letter: op.name for op in LOG}
"""The name on the wire of each letter of the log."""
TRAIL = {op.letter: op.trail for op in LOG}
"""The name in the history of each letter of the log."""
