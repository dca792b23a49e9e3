"""The arguments of triggers about their tables."""

from __future__ import annotations

import pytest

from pubsubpull.capture.arguments import Arguments
from pubsubpull.capture.registry import Publication
from pubsubpull.log import migrating
from tests.shop.models import Order

FULL = Arguments(
    label="shop.order",
    keys=("id",),
    excluded=('a "quoted" one', "back\\slash"),
    masked=("é,{}",),
    guarded=("json",),
    columns=("id", "", 'a "quoted" one', "back\\slash", "é,{}", "shown"),
    shown=("id", "shown"),
)


@pytest.mark.parametrize(
    "given",
    [
        FULL,
        Arguments(label="x.y", keys=("a", "b"), columns=("b", "", "a")),
        Arguments(label="x.y", keys=("a", "b"), guarded=("j",)),
        Arguments(label="x.y", keys=()),
    ],
)
def test_they_are_read_as_they_were_written(given):
    data = b"".join(text.encode() + b"\0" for text in given.texts())
    assert Arguments.read(data) == given


def told(*columns, shown=(), excluded=(), masked=()):
    plain = Arguments(label="shop.order", keys=("id",), excluded=excluded, masked=masked)
    return plain.hiding(columns, shown) if shown else plain


def test_before_a_migration_a_renamed_field_may_be_shown_under_both_names():
    before = told("id", "state", "note", shown=["id", "state"], excluded=("note",))
    ahead = migrating.ahead(before, Publication(model=Order, exclude=("internal_note",)), ("id", "state", "note"))
    assert {"state", "status"} <= set(ahead.shown)
    assert {"note", "internal_note"} <= set(ahead.excluded)


def test_before_a_migration_a_hidden_column_stays_hidden_under_its_new_name():
    before = told("id", "status", "note", shown=["id", "status"], excluded=("note",))
    ahead = migrating.ahead(before, Publication(model=Order), ("id", "x", "status"))
    assert "status" in ahead.excluded
    assert "status" not in ahead.shown


def test_before_a_migration_a_table_that_hides_nothing_stays_as_it_is():
    before = told("id", "status")
    assert migrating.ahead(before, Publication(model=Order), ("id", "status")) is before


@pytest.mark.parametrize(
    ("columns", "keys"),
    {
        ("a", "", "b", "c"): ("a", "b"),
        ("x", "", "y", "c"): ("x", "y"),
        ("b", "", "a", "c"): ("b", "a"),
        ("a", "", "", "c"): ("a", "b"),
        ("a", "b", "c"): ("a", "b"),
    }.items(),
)
def test_before_a_migration_a_key_s_columns_keep_their_places_by_their_numbers(columns, keys):
    before = Arguments(label="shop.order", keys=("a", "b"), columns=("a", "", "b", "c"))
    ahead = migrating.ahead(before, Publication(model=Order, exclude=("internal_note",)), columns)
    assert ahead.keys == keys
