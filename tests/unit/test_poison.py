"""The search for the change that a receiver does not take, as decided without a database."""

from __future__ import annotations

import pytest

from pubsubpull.delivery import bisect
from pubsubpull.delivery.bisect import Step
from pubsubpull.transports.base import ANSWER_KEPT, Retry, beginning
from pubsubpull.transports.http.answers import outcome
from pubsubpull.transports.http.client import Response


def step(**given):
    usual = {"sets_aside": True, "refused": True, "attempts": 8, "limit": 8, "count": 4, "searching": False}
    return bisect.step(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "follows"),
    [
        ({}, Step.HALVE),
        ({"count": 1}, Step.SET_ASIDE),
        ({"attempts": 7}, Step.WAIT),
        ({"attempts": 1, "searching": True}, Step.HALVE),
        ({"attempts": 1, "searching": True, "count": 1}, Step.SET_ASIDE),
        ({"refused": False}, Step.WAIT),
        ({"refused": False, "searching": True, "count": 1}, Step.WAIT),
        ({"sets_aside": False}, Step.WAIT),
    ],
)
def test_the_next_step_after_a_failure(given, follows):
    assert step(**given) is follows


@pytest.mark.parametrize("count", [2, 3, 7, 100, 1000])
def test_every_single_poisonous_change_is_found_alone_in_few_steps_and_all_others_are_taken(count):
    for bad in {0, 1, count // 2, count - 2, count - 1}:
        search, place, sent = bisect.reject(count), 0, 1
        while search is not None:
            sent += 1
            size = search.size
            assert 1 <= size <= search.left
            if not place <= bad < place + size:
                search, place = bisect.accept(search, size), place + size
            elif size == 1:
                break
            else:
                search = bisect.reject(size)
        assert place == bad
        assert sent <= 2 * count.bit_length() + 1


def test_a_search_ends_where_everything_is_taken_after_all():
    search = bisect.reject(2)
    search = bisect.accept(search, 1)
    assert search == bisect.Search(left=1, size=1)
    assert bisect.accept(search, 1) is None
    assert bisect.accept(None, 5) is None


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500, 501])
def test_a_refusing_answer_is_distinguished_from_busy_away_or_moved(status):
    result = outcome(Response(status=status, body_start=b"no"), now=0)
    assert isinstance(result, Retry)
    assert (result.refused, result.code, result.answer) == (True, status, "no")


@pytest.mark.parametrize("status", [301, 308, 408, 409, 425, 429, 502, 503, 504])
def test_an_answer_that_allows_a_later_attempt_is_no_refusal(status):
    result = outcome(Response(status=status), now=0)
    assert isinstance(result, Retry)
    assert not result.refused


def test_of_an_answer_only_its_beginning_is_kept_as_text_for_the_database():
    assert beginning(b"a\0b\xff") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert len(beginning(b"x" * 5000)) == ANSWER_KEPT
