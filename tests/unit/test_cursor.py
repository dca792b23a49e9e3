"""Cursors as text."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsubpull import exceptions
from pubsubpull.log.cursor import NOTHING, Cursor, Snapshot, Window, reached

numbers = st.integers(min_value=0, max_value=2**40)


@st.composite
def snapshots(draw):
    xmin = draw(st.integers(min_value=1, max_value=2**40))
    running = tuple(sorted(draw(st.sets(st.integers(min_value=xmin, max_value=xmin + 5000), max_size=30))))
    return Snapshot(xmin=xmin, xmax=xmin + 5001, running=running)


@st.composite
def windows(draw):
    floor = draw(numbers)
    return Window(
        floor=floor, seq=floor + draw(numbers), snapshot=draw(snapshots()), last=draw(numbers), top=draw(numbers)
    )


@st.composite
def cursors(draw):
    floor = draw(numbers)
    return Cursor(
        history=draw(numbers),
        tick=draw(numbers),
        floor=floor,
        seq=floor + draw(numbers),
        snapshot=draw(snapshots()),
        window=draw(st.none() | windows()),
    )


@given(cursors())
def test_a_cursor_survives_its_text(cursor):
    text = cursor.encode()
    assert Cursor.decode(text) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_cursor_or_invalid(data):
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    try:
        cursor = Cursor.decode(text)
    except exceptions.CursorInvalid:
        return
    assert cursor.encode() == text


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_invalid(text):
    try:
        cursor = Cursor.decode(text)
    except exceptions.CursorInvalid:
        return
    assert cursor.encode() == text


@given(cursors(), st.integers(min_value=0))
def test_a_cursor_cut_short_is_invalid(cursor, cut):
    text = cursor.encode()
    short = text[: cut % len(text)]
    try:
        assert Cursor.decode(short) != cursor
    except exceptions.CursorInvalid:
        pass


@pytest.mark.parametrize(
    "numbers",
    [
        [1, 1, 0, 0, 0, 0, 0],  # xmin 0
        [1, 1, 0, 0, 5, 1, 1, 1],  # a running transaction at xmax
        [1, 1, 0, 0, 5, 9, 2, 1, 0],  # one twice
        [1, 1, 0, 0, 5, 9, 0, 1],  # a window cut short
        [1, 1, 0, 0, 5, 9, 0, 1, 0, 5, 9, 0, 1, 1, 1],  # more than a window
        [1, 1, 2**63 - 1, 1, 5, 9, 0],  # beyond bigint
        [1, 1, 0, 0, 2**63 - 1, 9, 0],
    ],
)
def test_numbers_that_make_no_cursor_are_invalid(numbers):
    from pubsubpull.log import cursor

    data = bytes([cursor.FORMAT]) + b"".join(map(cursor._varint, numbers))
    with pytest.raises(exceptions.CursorInvalid):
        Cursor.decode(base64.urlsafe_b64encode(data).rstrip(b"=").decode())


@pytest.mark.parametrize(
    "text", ["", "A", "AA", "=", "AQ==", "Ag", "AQ", "Ag" + "A" * 70_000, "AoCAgICAgICAgICAgIAB", "AoA", "é"]
)
def test_texts_that_are_no_cursor_are_invalid(text):
    with pytest.raises(exceptions.CursorInvalid, match="pass it on exactly as it was given"):
        Cursor.decode(text)


@given(snapshots())
def test_a_snapshot_survives_postgresqls_text(snapshot):
    assert Snapshot.parse(str(snapshot)) == snapshot


def seen(snapshot, xid):
    return xid < snapshot.xmax and xid not in snapshot.running


@st.composite
def small(draw):
    running = tuple(sorted(draw(st.sets(st.integers(min_value=1, max_value=8)))))
    xmax = draw(st.integers(min_value=max(running, default=0) + 1, max_value=10))
    return Snapshot(xmin=min(running, default=xmax), xmax=xmax, running=running)


@given(small(), small())
def test_a_snapshot_covers_another_when_it_has_seen_all_that_the_other_has(later, earlier):
    assert later.covers(earlier) == all(seen(later, x) for x in range(1, 20) if seen(earlier, x))


def test_a_snapshot_far_behind_is_told_quickly():
    assert not NOTHING.covers(Snapshot(xmin=5, xmax=2**60))


@given(cursors())
def test_how_far_a_cursor_has_come_is_told_without_reading_all_of_it(cursor):
    assert reached(cursor.encode()) == (cursor.window.last if cursor.window else cursor.seq)


@pytest.mark.parametrize("text", ["", "nonsense!", "AQ", "AQEBAQ", "ü"])
def test_an_invalid_cursor_has_no_position(text):
    with pytest.raises(exceptions.CursorInvalid):
        reached(text)
