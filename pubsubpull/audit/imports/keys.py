"""Primary keys as django-auditlog writes them down: a key's text, or, of a composite one, that of Python's tuple."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WRAPPED = frozenset({"UUID", "Decimal"})
"""What Python shows around the text of a value."""


def read(text: str, columns: Sequence[str]) -> dict[str, str] | None:
    """Return the text of each column of a key, None where it cannot be told: `('w', 1)` → w, 1."""
    if len(columns) == 1:
        return {columns[0]: text}
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # cut off, or no tuple at all
        return None
    parts = [_part(part) for part in tree.elts] if isinstance(tree, ast.Tuple) else []
    found = {column: part for column, part in zip(columns, parts, strict=False) if part is not None}
    return found if len(parts) == len(found) == len(columns) else None


def _part(node: ast.expr) -> str | None:
    """Return the text of a value: of `1`, `-1`, `'w'`, or `UUID('…')`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRAPPED and node.args:
        node = node.args[0]
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):  # a value of another type
        return None
    return str(value) if isinstance(value, (str, int, float)) else None
