"""The ids of the system checks: one says one thing, and each is told of where its check is."""

from __future__ import annotations

import collections
import pathlib
import re

import pubsubpull

FILES = sorted(pathlib.Path(pubsubpull.__file__).parent.rglob("*.py"))
GIVEN = re.compile(r"""["']pubsubpull\.([EWI]\d{3})["']""")


def test_each_check_has_its_own_id_and_a_docstring():
    texts = [path.read_text() for path in FILES]
    ids = collections.Counter(one for text in texts for one in GIVEN.findall(text))
    assert ids
    assert {one for one, count in ids.items() if count > 1} == set()
    assert {one for one in ids if not any(f"{one}: " in text for text in texts)} == set()
