"""The files of `sql/`: their openings, widths, placeholders and uses."""

from __future__ import annotations

import functools
import itertools
import pathlib
import re
import string

import pytest

from pubsubpull.capture import sql

ROOT = pathlib.Path(__file__).resolve().parents[2]


def sql_files():
    return sorted(path.relative_to(ROOT / "sql").with_suffix("").as_posix() for path in (ROOT / "sql").rglob("*.sql"))


@pytest.mark.parametrize("name", sql_files())
def test_each_sql_file_begins_with_its_purpose(name):
    assert sql.read(name).startswith("-- ")


@functools.cache
def code():
    """Return the package's Python as one text."""
    return "".join(path.read_text() for path in (ROOT / "pubsubpull").rglob("*.py"))


@pytest.mark.parametrize("name", sql_files())
def test_each_sql_file_is_used(name):
    """A file of `schema/` by a migration, a trigger by its kind, anything else by its whole name in the code."""
    folder, short = name.split("/", 1)
    known = {"schema": {f'"{short}"'}, "triggers": {f'"{short}"', f'"{name}"'}}.get(folder, {f'"{name}"'})
    assert any(one in code() for one in known)


@pytest.mark.parametrize("name", sql_files())
def test_sql_is_no_wider_than_110_columns_and_its_opening_comment_than_100(name):
    lines = sql.read(name).splitlines()
    opening = list(itertools.takewhile(lambda line: line.startswith("--"), lines))
    assert max(map(len, lines)) <= 110
    assert max(map(len, opening)) <= 100


BRACES = re.compile(r"[a-z_]+")
PER_CENT = re.compile(r"%\([a-z_]+\)s|%%")


@pytest.mark.parametrize("name", sql_files())
def test_a_placeholder_is_a_name_in_braces_and_any_other_brace_is_doubled(name):
    for _, field, form, conversion in string.Formatter().parse(sql.read(name)):
        assert field is None or (BRACES.fullmatch(field) and not form and not conversion)


@pytest.mark.parametrize("name", sql_files())
def test_a_query_that_binds_values_binds_all_of_them(name):
    """`%(name)s` and nothing else with a per cent sign; text in braces there is a name or a part of SQL."""
    text = sql.read(name)
    if "%(" in text:
        assert "%" not in PER_CENT.sub("", text)
        assert not re.search(r"(?<!\{)\{[a-z_]+\}::", text), "a value is cast, and a part is not"


def test_no_query_is_named_that_is_not_there():
    for path in [*(ROOT / "pubsubpull").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for name in re.findall(r'"((?:queries|parts)/[a-z_/]+)"', path.read_text()):
            assert name in sql_files(), path


def test_no_python_file_holds_sql_beyond_the_orm():
    pattern = re.compile(r"[\"']\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|WITH) ", re.IGNORECASE)
    for path in (ROOT / "pubsubpull").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = pattern.search(line)
            assert not (found and found[1].isupper()), f"{path}:{number}"


def test_security_definer_functions_pin_their_search_path():
    for path in (ROOT / "sql" / "schema").glob("*.sql"):
        text = path.read_text()
        if "SECURITY DEFINER" in text:
            assert "SET search_path = pg_catalog, pg_temp" in text, path
