"""JSON as PostgreSQL writes it, read and written: numbers of any length, values nested to any depth."""

from __future__ import annotations

import decimal
import functools
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 100
"""A value that is nested deeper is not taken apart. Python's own functions, as json.dumps, take some hundred levels."""
_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]|NaN|-?Infinity', re.DOTALL)


class Deep(str):
    """The JSON text of a value that is nested deeper than `DEEPEST` levels: it stands for the value."""

    __slots__ = ()


class Decoder(json.JSONDecoder):
    """Reads a JSON column as `loads` does."""

    def decode(self, s: str) -> Any:  # type: ignore[override]  # the second argument is json's own
        """Return the value."""
        return loads(s)


class Encoder(json.JSONEncoder):
    """Writes a JSON column as `dumps` does."""

    def encode(self, o: Any) -> str:
        """Return the text."""
        return dumps(o)


def loads(text: str | bytes, *, parse_float: Callable[[str], Any] = decimal.Decimal) -> Any:
    """Return the value of JSON text. Raises `ValueError` for any text that is none.

    A number with a point, or with more digits than Python reads as an int, is what `parse_float` makes of it; a value
    that is nested deeper than Python can go is a `Deep`.
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        return _read(text, parse_float, _no_json)
    except RecursionError:
        return _shallow(text, parse_float)


def row(text: str, *, parse_float: Callable[[str], Any] = decimal.Decimal) -> Any:
    """Return the value as `loads` does, but whatever is nested deeper than `DEEPEST` is a `Deep` in any case.

    So what compares or writes the value need not care for its depth.
    """
    if text.count("[") + text.count("{") <= DEEPEST:
        return loads(text, parse_float=parse_float)
    return _shallow(text, parse_float)


def dumps(value: Any) -> str:
    """Return JSON text in which each number has the digits that it was read with."""
    if isinstance(value, Deep | decimal.Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(str(name))}:{dumps(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _read(text: str, parse_float: Callable[[str], Any], constant: Callable[[str], Any]) -> Any:
    try:
        return json.loads(text, parse_float=parse_float, parse_constant=constant)
    except json.JSONDecodeError:
        raise
    except decimal.InvalidOperation as error:
        raise ValueError("a number with an exponent that is out of range") from error
    except ValueError:  # int() takes no more than some thousand digits, which depends on the interpreter's settings
        return json.loads(
            text, parse_float=parse_float, parse_int=functools.partial(_whole, parse_float), parse_constant=constant
        )


def _whole(parse_float: Callable[[str], Any], digits: str) -> Any:
    try:
        return int(digits)
    except ValueError:
        return parse_float(digits)


def _no_json(constant: str) -> Any:
    raise json.JSONDecodeError(f"{constant} is not JSON", constant, 0)


def _shallow(text: str, parse_float: Callable[[str], Any]) -> Any:
    """Return the value of JSON text, with a `Deep` for each part of it that is nested deeper than `DEEPEST`.

    NaN, which JSON does not have, holds the place of such a part while the rest is read.
    """
    kept: list[str] = []
    deep: list[Deep] = []
    depth = begin = end = 0
    for mark in _MARK.finditer(text):
        match mark[0]:
            case "[" | "{":
                depth += 1
                if depth == DEEPEST + 1:
                    begin = mark.start()
                    kept += [text[end:begin], "NaN"]
            case "]" | "}":
                if depth == DEEPEST + 1:
                    end = mark.end()
                    deep.append(Deep(text[begin:end]))
                depth -= 1
            case "NaN" | "Infinity" | "-Infinity":
                _no_json(mark[0])
    if depth:
        raise json.JSONDecodeError("A bracket is not closed", text[:100], 0)
    parts = itertools.chain(deep)
    return _read("".join([*kept, text[end:]]), parse_float, lambda _: next(parts))
