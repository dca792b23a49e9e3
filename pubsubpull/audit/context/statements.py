"""The effect of an SQL statement on published tables, as far as its text shows it."""

from __future__ import annotations

import enum
import re

WRITES = {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "EXECUTE"}
"""First words of statements that write, and may run in a transaction with others (as VACUUM may not)."""

READS = {"SELECT", "WITH", "VALUES", "TABLE", "FETCH", "DECLARE", "EXPLAIN", "COPY"}
"""First words of statements that write only if they contain a writing statement or call a writing function."""

# Some of these must be the first statement of their transaction, and the announcement must not come before them: SET
# TRANSACTION would fail, and LOCK would come after the snapshot of a REPEATABLE READ transaction.
SILENT = {
    "SET",
    "RESET",
    "LOCK",
    "SAVEPOINT",
    "RELEASE",
    "ROLLBACK",
    "ABORT",
    "COMMIT",
    "END",
    "BEGIN",
    "START",
    "SHOW",
    "PREPARE",
    "DEALLOCATE",
    "LISTEN",
    "UNLISTEN",
    "NOTIFY",
    "MOVE",
    "CLOSE",
    "DISCARD",
    "CHECKPOINT",
}
"""First words of statements that write nothing."""

FIRST_WORD = re.compile(r"(?:[\s(]++|--[^\n]*\n|/\*.*?\*/)*+([a-z]+)", re.IGNORECASE | re.DOTALL)
EMIT_FUNCTION = "pubsubpull_emit"
"""The function that writes events: a SELECT calls it."""
# FOR UPDATE matches too. That only announces a context to a transaction that need not know it.
INNER_WRITE = re.compile(
    rf"\b(?:insert|update|delete|merge|execute|{EMIT_FUNCTION}|from\s+(?:stdin|program|'))", re.IGNORECASE
)
"""A writing statement within another, or the source of a COPY that writes."""


class Effect(enum.Enum):
    """The effect that a statement may have on published tables."""

    NOTHING = enum.auto()
    """It writes nothing, or may have to be the first statement of its transaction."""
    READS = enum.auto()
    """It writes only if it calls a function that writes."""
    MAY_WRITE = enum.auto()
    """Its text does not show its effect. It may also have to be alone in its transaction."""
    WRITES = enum.auto()
    """It writes, and may run in a transaction with others."""


def effect(text: str) -> Effect:
    """Return the effect of a statement, by its first word and, for a reading one, by the statements within it."""
    match = FIRST_WORD.match(text)
    word = match[1].upper() if match else ""
    if not word or word in SILENT:
        return Effect.NOTHING
    if word in WRITES:
        return Effect.WRITES
    if word not in READS:
        return Effect.MAY_WRITE
    may_contain = word in {"WITH", "EXPLAIN", "COPY"} or ";" in text or EMIT_FUNCTION in text
    return Effect.WRITES if may_contain and INNER_WRITE.search(text) else Effect.READS
