"""The table of operations, and its agreement with other places."""

from __future__ import annotations

import pathlib
import re

from pubsubpull.capture import texts
from pubsubpull.log.models import Change
from pubsubpull.wire import ops

SQL = pathlib.Path(__file__).resolve().parents[2] / "sql"
EVERY = (*ops.LOG, ops.SNAPSHOT)


def test_each_letter_is_one_operation():
    letters = [op.letter for op in EVERY]
    assert len(set(letters)) == len(letters)
    assert {op.letter: op.label for op in ops.LOG} == dict(Change.Op.choices)


def test_the_names_are_those_of_the_feed():
    assert tuple(op.name for op in ops.FEED) == ops.OP_NAMES
    assert set(ops.ROW_NAMES) < set(ops.OP_NAMES)
    assert ops.WHOLE_NAMES.isdisjoint(ops.ROW_NAMES)


def test_readers_get_the_letter_of_the_name_that_they_get():
    assert "WHEN 'X' THEN 'D'" in texts.op_letter().as_string()
    assert """WHEN 'X' THEN ',"op":"delete","at":'""" in texts.op_in_item().as_string()
    assert "WHEN 'X' THEN 'erase'" in texts.op_in_trail().as_string()


def test_sql_compares_operations_with_letters_and_names_of_the_table():
    known = {op.letter for op in EVERY} | {op.name for op in EVERY}
    for path in SQL.rglob("*.sql"):
        text = path.read_text()
        compared = re.findall(r"\bop (?:=|<>) '(\w+)'", text)
        for listed in re.findall(r"\bop (?:NOT )?IN \(([^)]*)\)", text):
            compared += re.findall(r"'(\w+)'", listed)
        assert set(compared) <= known, path


def test_sql_that_leaves_out_changes_of_a_whole_table_names_all_of_them():
    for path in SQL.rglob("*.sql"):
        for listed in re.findall(r"\bop NOT IN \(([^)]*)\)", path.read_text()):
            names = set(re.findall(r"'(\w+)'", listed))
            if names & ops.WHOLE_NAMES:
                assert names >= ops.WHOLE_NAMES, path
