"""Primary keys as django-auditlog stores them: the text of a value, or of Python's tuple for a composite key."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WRAPPED = frozenset({"UUID", "Decimal"})
"""Calls that the text of a tuple has around values, as in `UUID('…')`."""


def read(text: str, columns: Sequence[str]) -> dict[str, str] | None:
    """Return the text of each column of a key, as in `('w', 1)` → w, 1; None if the text is not readable."""
    if len(columns) == 1:
        return {columns[0]: text}
    try:
        # Parsed and never evaluated: a text from the table must not run as code.
        tree = ast.parse(text, mode="eval").body
    # The column of django-auditlog may have cut a long text off.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    parts = [_part(part) for part in tree.elts] if isinstance(tree, ast.Tuple) else []
    texts = {column: part for column, part in zip(columns, parts, strict=False) if part is not None}
    return texts if len(parts) == len(texts) == len(columns) else None


def _part(node: ast.expr) -> str | None:
    """Return the text of a value, as of `1`, `-1`, `'w'` or `UUID('…')`; None for a value of another type."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRAPPED and node.args:
        node = node.args[0]
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return str(value) if isinstance(value, (str, int, float)) else None
