"""Differences between texts: no word is lost, and no text takes longer than a page's effort."""

from __future__ import annotations

import csv
import io
import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsubpull.audit.history import export
from pubsubpull.pages import texts

TEXT = st.lists(st.sampled_from(["a", "b", "word", " ", "  ", "\n", "longer"]), max_size=60).map("".join)


def shown(pieces, *kinds):
    return "".join(piece.text for piece in pieces if piece.kind in kinds)


@given(old=TEXT, new=TEXT)
def test_the_pieces_are_both_texts_and_no_two_of_a_kind_follow_each_other(old, new):
    pieces = texts.pieces(old, new, texts.Effort())
    assert shown(pieces, "same", "gone") == old
    assert shown(pieces, "same", "new") == new
    kinds = [piece.kind for piece in pieces]
    assert all(a != b for a, b in itertools.pairwise(kinds))


def test_a_change_far_apart_in_a_long_text_is_shown_as_such():
    words = [f"word{n}" for n in range(600)]
    later = ["new", *words[:300], "other", *words[301:-1]]
    pieces = texts.pieces(" ".join(words), " ".join(later), texts.Effort())
    assert [piece.text.strip() for piece in pieces if piece.kind == "new"] == ["new", "other"]
    assert [piece.text.strip() for piece in pieces if piece.kind == "gone"] == ["word300", "word599"]


PAIRS = {
    "turned": ("a b " * 1250, "b a " + "a b " * 1249),
    "all other": ("x " * 2500, "y " * 2500),
    "reversed": (" ".join(map(str, range(1200))), " ".join(map(str, range(1200, 0, -1)))),
    "doubled": ("a " * 2500, "a a b " * 800),
    "spaces": (" " * 5000, "\n " * 2500),
    "large": ("a b " * 10**6, "b a " * 10**6),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_page_of_such_texts_takes_a_bounded_time(name):
    effort, began = texts.Effort(), time.process_time()
    for _ in range(200):
        texts.pieces(*PAIRS[name], effort)
    assert time.process_time() - began < 8, "less than a second where nothing else runs"


FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "a;=1+1", "a\t=1+1", "a;\t =1+1", 'a;"=1+1"', "a\n=1+1",
    'a;""=1+1', "x\r\n+1", "a;-1", "a;@x", ";;=1",
]  # fmt: skip


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_an_export_is_a_formula_whatever_a_spreadsheet_separates_by(separator, text):
    line = io.StringIO()
    csv.writer(line).writerow(["1", export.cell(text), "2"])
    lines = line.getvalue().replace("\r\n", "\n").replace("\r", "\n").splitlines(keepends=True)
    for row in csv.reader(lines, delimiter=separator):
        for found in row:
            assert not re.match(r"""["'\s]*[=+@-]""", found.replace("'", "x")), row


def test_numbers_and_plain_texts_stay_as_they_are():
    for value in ("-1", "-1.50", "a - b", "x=1", "a, -1", "it's; fine"):
        assert export.cell(value) == value
    assert export.cell(-1.5) == "-1.5"


def test_a_cell_is_looked_at_once():
    began = time.process_time()
    for text in ("\n" * 10**6, ";" * 10**6, '"' * 10**6, " ;" * 10**6):
        export.cell(text)
    assert time.process_time() - began < 4
