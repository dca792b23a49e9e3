"""What a statement may do, as far as its text tells: whether it writes."""

from __future__ import annotations

import enum
import re

WRITES = {"INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "EXECUTE"}
"""What writes whatever else it says. Of the others some must be a transaction by themselves, as VACUUM must."""

READS = {"SELECT", "WITH", "VALUES", "TABLE", "FETCH", "DECLARE", "EXPLAIN", "COPY"}
"""What reads unless it holds a statement that writes, or calls a function that does."""

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
}
SILENT |= {"PREPARE", "DEALLOCATE", "LISTEN", "UNLISTEN", "NOTIFY", "MOVE", "CLOSE", "DISCARD", "CHECKPOINT"}
"""What writes nothing. Some must come before a transaction's first query, which the telling would be: SET TRANSACTION
would fail after it, and LOCK would come after the snapshot of a transaction that has only one."""

FIRST_WORD = re.compile(r"(?:[\s(]++|--[^\n]*\n|/\*.*?\*/)*+([a-z]+)", re.IGNORECASE | re.DOTALL)
INNER_WRITE = re.compile(r"\b(?:insert|update|delete|merge|execute|from\s+(?:stdin|program|'))", re.IGNORECASE)
"""A statement that writes, or where a COPY writes from. FOR UPDATE is taken for one: no harm is done."""


class Effect(enum.Enum):
    """What a statement may do to published tables."""

    NOTHING = enum.auto()
    """It writes nothing, or may have to come before a transaction's first query."""
    READS = enum.auto()
    """It writes only where a function that it calls does."""
    MAY_WRITE = enum.auto()
    """Nothing is known of it: it may also have to be a transaction by itself."""
    WRITES = enum.auto()
    """It writes, and may be one statement of several in a transaction."""


def effect(text: str) -> Effect:
    """Return what a statement may do, by its first word and, where that reads, by the statements within it."""
    found = FIRST_WORD.match(text)
    word = found[1].upper() if found else ""
    if not word or word in SILENT:
        return Effect.NOTHING
    if word in WRITES:
        return Effect.WRITES
    if word not in READS:
        return Effect.MAY_WRITE
    holds = word in {"WITH", "EXPLAIN", "COPY"} or ";" in text
    return Effect.WRITES if holds and INNER_WRITE.search(text) else Effect.READS
