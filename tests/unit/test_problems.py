"""The answers to callers about the database's errors."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError
from psycopg import errors

from pubsubpull.pull import problems


def raised(kind, text):
    error = ProgrammingError(text)
    error.__cause__ = kind(text)
    return error


@pytest.mark.parametrize(
    ("kind", "text", "advice"),
    [
        (errors.UndefinedTable, 'relation "pubsubpull_change" does not exist', "migrate"),
        (errors.UndefinedFunction, "function pubsubpull_present() does not exist", "migrate"),
        (errors.InsufficientPrivilege, "permission denied for function pubsubpull_present", "check"),
    ],
)
def test_an_unreadable_log_is_unavailable_with_a_remedy_for_the_operator(kind, text, advice):
    problem = problems.from_error(raised(kind, text))
    assert problem.status == 503
    assert f"manage.py {advice}" in problem.detail
    assert "pubsubpull_present" not in problem.detail


def test_an_error_in_something_else_is_no_problem_of_the_log():
    assert problems.from_error(raised(errors.UndefinedTable, 'relation "shop_order" does not exist')) is None
