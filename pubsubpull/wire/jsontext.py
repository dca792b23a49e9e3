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
"""The levels up to which a value is taken apart. Python's own functions, as json.dumps, manage some hundred levels."""
_MARK = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]|NaN|-?Infinity', re.DOTALL)


class Deep(str):
    """The JSON text of a value that is nested deeper than `DEEPEST` levels, in the place of the value."""

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
    """Return the value of JSON text. Raises `ValueError` for any other text.

    `parse_float` converts numbers with a point, and numbers with more digits than Python reads as an int. A value that
    is nested deeper than Python can go is a `Deep`.
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        return _read(text, parse_float, _no_json)
    # PostgreSQL stores values of any depth: such a row is rare, and must not stop its readers.
    except RecursionError:
        return _shallow(text, parse_float)


def row(text: str, *, parse_float: Callable[[str], Any] = decimal.Decimal) -> Any:
    """Return the value as `loads` does, with a `Deep` for each part that is nested deeper than `DEEPEST` levels.

    Code that compares or writes the value needs no care for its depth.
    """
    # Counting brackets is much cheaper than to parse, and more brackets than levels only cost the longer way.
    if text.count("[") + text.count("{") <= DEEPEST:
        return loads(text, parse_float=parse_float)
    return _shallow(text, parse_float)


def dumps(value: Any) -> str:
    """Return JSON text in which each number has the digits that it was read with."""
    if isinstance(value, Deep | decimal.Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(str(name))}:{dumps(member)}" for name, member in value.items()) + "}"
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
    # int() takes no more than some thousand digits, which depends on the interpreter's settings.
    except ValueError:
        return json.loads(
            text, parse_float=parse_float, parse_int=functools.partial(_whole, parse_float), parse_constant=constant
        )


def _whole(parse_float: Callable[[str], Any], digits: str) -> Any:
    try:
        return int(digits)
    except ValueError:
        return parse_float(digits)


def _no_json(constant: str) -> Any:
    # Python's json reads NaN and Infinity, which are no JSON: PostgreSQL would refuse what is read here.
    raise json.JSONDecodeError(f"{constant} is not JSON", constant, 0)


def _shallow(text: str, parse_float: Callable[[str], Any]) -> Any:
    """Return the value of JSON text, with a `Deep` for each part that is nested deeper than `DEEPEST` levels."""
    # A NaN, which JSON does not have, marks each such part while the rest is read: the parser asks for its value.
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
