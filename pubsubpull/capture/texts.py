"""The SQL that writes the text of a change, which `wire.items` and `wire.pages` read."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from psycopg import sql as psql

from pubsubpull.capture import sql
from pubsubpull.wire import items, ops, pages

if TYPE_CHECKING:
    from collections.abc import Mapping

OLD = psql.SQL("old")


def item(old: psql.Composable = OLD) -> psql.Composed:
    """Return the SQL expression for a change's item; `old` is the expression for the row before the change."""
    return sql.part("parts/item").format(old=old, op=op_in_item())


# Composed once, as the other texts here: they are part of the query of each page.
@functools.cache
def op_in_item() -> psql.Composed:
    """Return the SQL expression for an item's text between the key and the time, which names the operation."""
    return _by_letter(items.ITEM_OP_TEXTS)


@functools.cache
def op_in_compact() -> psql.Composed:
    """Return the SQL expression for the text between the key and the row of a change in a compact page."""
    return _by_letter(pages.COMPACT_OP_TEXTS)


@functools.cache
def op_letter() -> psql.Composed:
    """Return the SQL expression for the letter of an operation as readers of the feed know it."""
    return _by_letter({letter: ops.LETTERS.get(name, letter) for letter, name in ops.WIRE.items()})


@functools.cache
def op_in_trail() -> psql.Composed:
    """Return the SQL expression for the name of the operation of a change `c` in the history of an object."""
    return _by_letter(ops.TRAIL, "c")


def _by_letter(texts: Mapping[str, str], *alias: str) -> psql.Composed:
    case = sql.part("parts/op_case")
    cases = [case.format(letter=psql.Literal(letter), text=psql.Literal(text)) for letter, text in texts.items()]
    return sql.part("parts/op").format(letter=psql.Identifier(*alias, "op"), cases=psql.SQL(" ").join(cases))
