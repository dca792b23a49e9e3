"""Compares the log's functions in the database with their files, and replaces functions that differ.

A function names the log's objects with their schema. If that schema is renamed, the function must be replaced.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.resources
import re
from typing import Any

from django.db import transaction
from psycopg import sql as psql

from pubsubpull.capture import schema, sql

VERSIONED_FILE = re.compile(r"(?P<name>\w+\.(?P<version>\d+))\.sql")
FUNCTION_PARTS = re.compile(
    r"\bFUNCTION [^(]*?\.(?P<name>pubsubpull_\w+)(?P<head>\(.*?)AS \$\$(?P<body>.*)\$\$;", re.DOTALL
)
SETTING = re.compile(r"""\bSET "?(\w+)"? = (?:'([^']*)'|([\w, ]+?))\s*(?=\bSET |\bAS |$)""", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the log as its newest file defines it."""

    name: str
    """The name without schema and arguments: no two functions of the log share it."""
    statement: str
    """The CREATE OR REPLACE FUNCTION statement, and the others of its file."""
    digest: str
    """The SHA-256 of its body, in hexadecimal digits."""
    definer: bool
    """True if it runs with its owner's rights (SECURITY DEFINER)."""
    settings: frozenset[str]
    """Its SET clauses, each as `name=value`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstalledFunction:
    """A function in the log's schema; the fields of `Function` have the same meaning."""

    signature: str
    """Its name with its schema and the types of its arguments."""
    name: str
    digest: str
    definer: bool
    settings: frozenset[str]
    names: str | None
    """The schema that its body refers to, quoted as in the body; None if it refers to none."""

    def equals(self, function: Function) -> bool:
        """Return True if the database has the function as its file defines it."""
        return (self.digest, self.definer, self.settings) == (function.digest, function.definer, function.settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """The functions in the log's schema that need attention."""

    differing: tuple[Function, ...]
    """The functions that the database has in another form than their files."""
    moved: tuple[Function, ...]
    """The differing functions that refer to another schema: the log's schema was renamed."""
    foreign: tuple[str, ...]
    """The signatures of functions with a name like the log's, which no file defines."""


@functools.cache
def expected(log: str) -> dict[str, Function]:
    """Return the log's functions by name, as their files define them for the schema `log`."""
    folder = importlib.resources.files(sql.FOLDER).joinpath("schema")
    files = (VERSIONED_FILE.fullmatch(path.name) for path in folder.iterdir())
    # Sorted by version, so that the dictionary keeps the newest version of each function.
    in_order = sorted((int(file["version"]), file["name"]) for file in files if file)
    parsed = (_parse(schema.text(name, log)) for _, name in in_order)
    # Files without a function create tables and indexes.
    return {function.name: function for function in parsed if function}


def state(log: str, using: str) -> State:
    """Compare the functions in the log's schema, `log`, with their files."""
    files, quoted = expected(log), psql.Identifier(log).as_string()
    rows = sql.run(using, sql.compose("queries/capture/functions", place=log))
    installed = [_installed(*row) for row in rows]
    # Several functions may share a name, with other arguments. The name is in order if one of them equals the file.
    right = {f.name for f in installed if f.name in files and f.equals(files[f.name])}
    wrong = {f.name for f in installed if f.name in files} - right
    moved = {f.name for f in installed if f.name in wrong and f.names not in {None, quoted}}
    return State(
        differing=tuple(files[name] for name in sorted(wrong)),
        moved=tuple(files[name] for name in sorted(moved)),
        foreign=tuple(
            f.signature for f in installed if f.name not in files or (f.name in right and not f.equals(files[f.name]))
        ),
    )


def replace(functions: tuple[Function, ...], using: str) -> None:
    """Replace functions with those of their files, all or none. Their owners and the rights on them stay."""
    if not functions:
        return
    with transaction.atomic(using):
        # Two processes that replace one function at a time fail with "tuple concurrently updated": one waits here.
        sql.run(using, sql.template("queries/locks/functions"))
        for statement in statements(functions, using):
            sql.run(using, psql.SQL(statement))


def statements(functions: tuple[Function, ...], using: str) -> list[str]:
    """Return the SQL statements that replace functions; empty if there are no functions."""
    ((_, path),) = sql.run(using, sql.template("queries/session/place"))
    return list(schema.alone([function.statement for function in functions], path=path)) if functions else []


def _installed(signature: str, name: str, *properties: Any) -> InstalledFunction:
    digest, definer, settings, names = properties
    return InstalledFunction(
        signature=signature, name=name, digest=digest, definer=definer, settings=frozenset(settings), names=names
    )


def _parse(text: str) -> Function | None:
    """Return the function that a file creates; None if it creates none."""
    parts = FUNCTION_PARTS.search(text)
    if parts is None:
        return None
    return Function(
        name=parts["name"],
        # The file says CREATE alone, so that a first migration fails over a function that is not the log's.
        statement=re.sub(r"(?m)^(CREATE) (?=FUNCTION )", r"\1 OR REPLACE ", text),
        # Of the body only: PostgreSQL keeps it as it was written, but keeps the head in parsed form.
        digest=hashlib.sha256(parts["body"].encode()).hexdigest(),
        definer="SECURITY DEFINER" in parts["head"],
        settings=frozenset(f"{name}={a or b}" for name, a, b in SETTING.findall(parts["head"])),
    )
