"""Whole rows from a trail that has only the changed values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pubsubpull.audit.imports.rebuild import Step, rebuild

COLUMNS = ("a", "b", "c")
ROWS = st.fixed_dictionaries(dict.fromkeys(COLUMNS, st.integers(0, 2)))


def differing(old, new):
    return [name for name in COLUMNS if old[name] != new[name]]


def step(old, new):
    """Return a change as a trail has it: an update names only the differences."""
    if old is None or new is None:
        return Step(op="I" if old is None else "D", old=old or {}, new=new or {})
    names = differing(old, new)
    return Step(op="U", old={name: old[name] for name in names}, new={name: new[name] for name in names})


@given(st.lists(st.one_of(st.none(), ROWS), min_size=1, max_size=8), st.booleans(), st.integers(0, 8))
def test_rows_are_rebuilt_as_they_were(states, known_at_the_end, lost):
    """An object comes, changes, goes and comes again; of its trail's beginning some may be missing."""
    pairs = [
        (old, new) for old, new in zip([None, *states], states, strict=False) if old is not None or new is not None
    ]
    steps = [step(old, new) for old, new in pairs]
    end = states[-1] if known_at_the_end else None
    kept = slice(0 if not known_at_the_end else min(lost, len(pairs)), None)
    assert rebuild(steps[kept], end, COLUMNS) == pairs[kept]


def test_a_column_missing_in_an_insert_was_null():
    assert rebuild([Step(op="I", old={}, new={"a": 1})], None, COLUMNS) == [(None, {"a": 1, "b": None, "c": None})]


def test_a_column_without_any_record_is_left_out():
    steps = [Step(op="U", old={"a": 1}, new={"a": 2})]
    assert rebuild(steps, None, COLUMNS) == [({"a": 1}, {"a": 2})]


def test_a_value_changed_without_an_entry_is_part_of_no_change():
    steps = [Step(op="I", old={}, new={"a": 1, "b": 1}), Step(op="U", old={"a": 1}, new={"a": 2})]
    made = rebuild(steps, {"a": 2, "b": 7}, ("a", "b"))
    assert made == [(None, {"a": 1, "b": 1}), ({"a": 1, "b": 7}, {"a": 2, "b": 7})]
