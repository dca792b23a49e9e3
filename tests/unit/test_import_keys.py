"""Primary keys as django-auditlog writes them down."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsubpull.audit.imports import keys

VALUES = st.text() | st.integers() | st.uuids() | st.decimals(allow_nan=False)


@given(st.lists(VALUES, min_size=2, max_size=4).map(tuple))
def test_the_text_of_a_tuple_gives_the_texts_of_its_values(key):
    names = [f"c{number}" for number, _ in enumerate(key)]
    assert keys.read(str(key), names) == {name: str(value) for name, value in zip(names, key, strict=True)}


@given(st.text())
def test_a_key_of_one_column_is_its_text(text):
    assert keys.read(text, ["id"]) == {"id": text}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "17",
        "('a',)",
        "('a', 1, 2)",
        "('a', ",
        "('a', None)",
        "('a', b'b')",
        "('a', datetime.date(2026, 1, 2))",
        "('a', open('x'))",
        "('a', UUID(int=7))",
        f"('a', {Decimal(1)}, ...)",
        "('a', '\0')",
        "(" * 1000,
    ],
)
def test_an_invalid_key_of_two_columns_is_none(text):
    assert keys.read(text, ["a", "b"]) is None
