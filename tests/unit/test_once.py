"""Each cause is told once, and of one subject few of them."""

from __future__ import annotations

from pubsubpull.base.once import Once


def test_each_cause_is_new_once_for_each_subject():
    told = Once()
    assert [told.is_new(subject, cause) for subject in "ab" for cause in "xxyx"] == [True, False, True, False] * 2
    told.forget("a")
    assert (told.is_new("a", "x"), told.is_new("b", "x")) == (True, False)


def test_a_caller_that_makes_up_causes_is_told_of_a_few_times():
    told = Once(most=3)
    assert sum(told.is_new("a", str(number)) for number in range(100)) == 3
