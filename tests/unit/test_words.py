"""The code's words: one meaning for each constant's name, locals that say what they hold, sentences with a subject."""

from __future__ import annotations

import ast
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [
    path
    for path in [*(ROOT / "pubsubpull").rglob("*.py"), *(ROOT / "middleware").glob("*.py")]
    if "migrations" not in path.parts
]
SHARED = {"T", "KEPT_AS"}
"""Names of constants that may have several values: each is of its module alone, and means the same in each."""
GENERIC = {"found", "made", "there", "given", "one"}
"""Names of locals that say nothing; right for a scope of three lines."""
UNNAMED = re.compile(r"\b(who|whoever|whom|whose|whatever|what)\b|\b(one|those|that) (that|which|who)\b", re.IGNORECASE)
"""Clauses whose subject is not named."""


def trees():
    return {path: ast.parse(path.read_text()) for path in FILES}


def test_each_constant_has_a_name_of_its_own():
    values = collections.defaultdict(set)
    for tree in trees().values():
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and target.id.isupper() and getattr(node, "value", None):
                    values[target.id].add(ast.unparse(node.value))
    assert {name for name, of in values.items() if len(of) > 1} <= SHARED


def test_few_locals_have_a_name_that_says_nothing():
    names = collections.Counter()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names.update({n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)})
    assert sum(names[name] for name in GENERIC) < 0.04 * names.total()


def test_few_sentences_of_docstrings_leave_their_subject_unnamed():
    sentences = [
        sentence
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module)
        for sentence in re.split(r"(?<=[.!?:;])\s+", ast.get_docstring(node) or "")
        if len(sentence.split()) > 1
    ]
    assert len([text for text in sentences if UNNAMED.search(text)]) < 0.03 * len(sentences)


def test_no_folder_has_more_than_22_modules():
    folders = collections.Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert max(folders.values()) <= 22
