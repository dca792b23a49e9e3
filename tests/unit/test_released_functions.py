"""Every text that a migration runs is tied to a digest, the parts that it shares with others included."""

from __future__ import annotations

import re

from pubsubpull.capture import functions, schema
from tests import released_functions

WHAT_TO_DO = """
The SQL of these files, or of a part in sql/parts/ that they share, is another one than migrations ran.

- Where nothing was released since it was written: python -m tests.released_functions
- Where it was released: put the old text back, write the new one into the next file (capture_insert.2.sql, with
  CREATE OR REPLACE FUNCTION) and name that in a new migration. Databases keep the old text otherwise. A shared part
  that changes is a part of another name, which the next files use.
"""


def test_no_text_that_migrations_run_has_changed_without_notice():
    pinned, digests = released_functions.pinned(), released_functions.digests()
    changed = [file for file in sorted(pinned | digests) if pinned.get(file) != digests.get(file)]
    assert not changed, f"{', '.join(changed)}\n{WHAT_TO_DO}"


def test_each_function_in_the_database_is_compared_with_a_pinned_text():
    """`pubsubpull_triggers --check` recognises a database with another text, of any release."""
    pinned = {re.sub(r"\.\d+$", "", file) for file in released_functions.pinned()}
    assert {name.removeprefix("pubsubpull_") for name in functions.expected("log")} <= pinned


def test_a_text_is_pinned_with_the_parts_that_it_shares():
    assert "'{\"version\":'" in schema.text("poll.1", "log")
    for file in ("capture_insert.1", "instances.1", "row_hashes.1"):
        assert "SET extra_float_digits = 1" in schema.text(file, "log")
