"""Which partitions are to be made, and which are old enough to go."""

from __future__ import annotations

import pytest

from pubsubpull.checks import settings as settings_checks
from pubsubpull.log import expiry, partitions
from pubsubpull.log.cursor import Cursor, Snapshot, Window

LAST = 2**63 - 1


def part(low, high, newest=None, *, spare=False):
    return partitions.Partition(
        name=f"p{low}", low=low, high=high, spare=spare, newest=newest, xid=low if newest else None, bytes=0
    )


def log(*parts):
    """Return these partitions, and the default one after them."""
    top = parts[-1].high if parts else 1
    return [*parts, part(top, LAST, spare=True)]


@pytest.mark.parametrize(
    ("there", "seq", "expected"),
    [
        ([(1, 100)], 5, [(100, 200), (200, 300)]),
        ([(1, 100), (100, 200), (200, 300)], 5, []),
        ([(1, 100), (100, 200), (200, 300)], 99, []),
        ([(1, 100), (100, 200), (200, 300)], 100, [(300, 400)]),
        ([(1, 100)], 99, [(100, 200), (200, 300)]),
        ([(1, 100)], 100, [(100, 200), (200, 300), (300, 400)]),
        ([(1, 100)], 1000, [(100, 1100), (1100, 1200), (1200, 1300)]),
        ([], 0, [(1, 101), (101, 201)]),
    ],
)
def test_two_partitions_are_ahead_of_the_newest_change_without_a_gap(there, seq, expected):
    assert partitions.missing(log(*(part(*one) for one in there)), seq=seq, size=100) == expected


def test_partitions_go_from_the_oldest_on_once_all_in_them_is_old_and_settled():
    there = log(part(1, 100, 10.0), part(100, 200), part(200, 300, 20.0), part(300, 400, 15.0), part(400, 500))

    def gone(**given):
        return [cut.upto for cut in partitions.expired(there, **given)]

    assert gone(settled=450, before=16.0) == [99, 199], "one that is not old keeps those after it"
    assert gone(settled=450, before=30.0) == [99, 199, 299, 399], "one that may be written to stays"
    assert gone(settled=150, before=30.0) == [99]
    assert gone(settled=450, before=10.0) == []
    assert [str(cut) for cut in partitions.expired(there, settled=99, before=11.0)] == ["p1, up to version 99"]


def test_a_log_is_trimmed_only_where_its_oldest_change_is_a_quarter_too_old():
    assert not partitions.too_old(None, now=1000.0, keep=100.0)
    assert not partitions.too_old(880.0, now=1000.0, keep=100.0)
    assert partitions.too_old(870.0, now=1000.0, keep=100.0)


def cursor(seq, *, floor=0, xmin=50, last=None):
    snapshot = Snapshot(xmin=xmin, xmax=xmin + 10, running=(xmin,))
    window = None if last is None else Window(seq=seq + 99, floor=floor, snapshot=snapshot, last=last, top=seq + 99)
    return Cursor(history=1, tick=1, seq=seq, floor=floor, snapshot=snapshot, window=window)


@pytest.mark.parametrize(
    ("at", "dropped_xid", "expected"),
    [
        (cursor(99), 49, True),
        (cursor(100), 49, False),
        (cursor(100), 50, True),
        (cursor(100, floor=100), 50, False),
        (cursor(10, last=99), 49, True),
        (cursor(10, last=100), 49, False),
        (cursor(200, last=100), 60, False),
        (cursor(200, last=99), 60, True),
    ],
)
def test_a_cursor_lacks_deleted_changes_unless_it_has_seen_them_all(at, dropped_xid, expected):
    """With all up to 100 dropped. A transaction that ran when the cursor was taken may have written below its ids."""
    assert expiry.lacks(at, 100, dropped_xid) is expected


def test_keeping_changes_for_less_than_a_subscription_may_fail_is_warned_of(settings):
    settings.PUBSUBPULL = {"RETENTION": 3600, "DISABLE_AFTER": 7200}
    assert [found.id for found in settings_checks.check_retention()] == ["pubsubpull.W030"]
    settings.PUBSUBPULL = {"RETENTION": 7200, "DISABLE_AFTER": 7200}
    assert settings_checks.check_retention() == []
    settings.PUBSUBPULL = {}
    assert settings_checks.check_retention() == []
    settings.PUBSUBPULL = {"RETENTION": -1}
    assert settings_checks.check_retention() == []
