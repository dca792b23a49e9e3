"""The suite itself: faults that depend on the order of its tests, or on a concurrent run."""

from __future__ import annotations

import ast
import pathlib

import pytest

from tests import conftest

TESTS = pathlib.Path(__file__).resolve().parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def calls(path):
    return [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]


def number(node):
    """Return the greatest number that is written in an expression; 0 where there is none."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        written = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and type(one.value) is int]
        return max(written, default=0)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_keys_that_are_given_stay_below_those_that_sequences_give(path):
    for call in calls(path):
        if getattr(call.func, "attr", "") not in {"get", "filter", "exclude"}:
            given = [number(word.value) for word in call.keywords if word.arg in {"id", "pk"}]
            assert all(key < conftest.FIXED_KEYS_BELOW for key in given if isinstance(key, int)), ast.unparse(call)
