"""The log's functions: what they should be, and which of those in the database differ.

A function names the log's objects with their schema, and so does not follow where that is renamed: it is made anew.
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

FILE = re.compile(r"(?P<name>\w+\.(?P<version>\d+))\.sql")
PARTS = re.compile(r"\bFUNCTION [^(]*?\.(?P<name>pubsubpull_\w+)(?P<head>\(.*?)AS \$\$(?P<body>.*)\$\$;", re.DOTALL)
SETTING = re.compile(r"""\bSET "?(\w+)"? = (?:'([^']*)'|([\w, ]+?))\s*(?=\bSET |\bAS |$)""", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the log as its file has it."""

    name: str
    statement: str
    digest: str
    definer: bool
    settings: frozenset[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class There:
    """A function in the log's schema."""

    signature: str
    name: str
    digest: str
    definer: bool
    settings: frozenset[str]
    names: str | None
    """The schema that its body names, quoted as there."""

    def like(self, function: Function) -> bool:
        """Say whether it is the one of the file."""
        return (self.digest, self.definer, self.settings) == (function.digest, function.definer, function.settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What the log's schema has."""

    differing: tuple[Function, ...]
    """Functions that the schema has, and not as their files have them."""
    moved: tuple[Function, ...]
    """Those among them that name another schema: the log's has been renamed."""
    foreign: tuple[str, ...]
    """Signatures of others whose names begin as those of the log's, which are not the log's own."""


@functools.cache
def expected(place: str) -> dict[str, Function]:
    """Return the functions by name, as they should be in the schema `place`."""
    files = (FILE.fullmatch(path.name) for path in importlib.resources.files(sql.FOLDER).joinpath("schema").iterdir())
    in_order = sorted((int(file["version"]), file["name"]) for file in files if file)
    made = (_parse(schema.text(name, place)) for _, name in in_order)
    return {function.name: function for function in made if function}  # of each, the newest


def state(place: str, using: str) -> State:
    """Compare the functions in the log's schema with their files."""
    should, quoted = expected(place), psql.Identifier(place).as_string()
    there = [_there(*row) for row in sql.run(using, sql.compose("queries/capture/functions", place=place))]
    right = {one.name for one in there if one.name in should and one.like(should[one.name])}
    wrong = {one.name for one in there if one.name in should} - right
    moved = {one.name for one in there if one.name in wrong and one.names not in {None, quoted}}
    return State(
        differing=tuple(should[name] for name in sorted(wrong)),
        moved=tuple(should[name] for name in sorted(moved)),
        foreign=tuple(
            one.signature
            for one in there
            if one.name not in should or (one.name in right and not one.like(should[one.name]))
        ),
    )


def replace(made: tuple[Function, ...], using: str) -> None:
    """Make functions anew, all or none. The rights on them, and their owner, stay."""
    if not made:
        return
    with transaction.atomic(using):
        sql.run(using, sql.template("queries/locks/functions"))
        for statement in statements(made, using):
            sql.run(using, psql.SQL(statement))


def statements(made: tuple[Function, ...], using: str) -> list[str]:
    """Return what makes functions anew."""
    ((_, path),) = sql.run(using, sql.template("queries/session/place"))
    return list(schema.alone([one.statement for one in made], path=path)) if made else []


def _there(signature: str, name: str, *how: Any) -> There:
    digest, definer, settings, names = how
    return There(
        signature=signature, name=name, digest=digest, definer=definer, settings=frozenset(settings), names=names
    )


def _parse(text: str) -> Function | None:
    """Return the function that a file makes, None where it makes none."""
    parts = PARTS.search(text)
    if parts is None:
        return None
    return Function(
        name=parts["name"],
        statement=re.sub(r"(?m)^(CREATE) (?=FUNCTION )", r"\1 OR REPLACE ", text),
        digest=hashlib.sha256(parts["body"].encode()).hexdigest(),
        definer="SECURITY DEFINER" in parts["head"],
        settings=frozenset(f"{name}={a or b}" for name, a, b in SETTING.findall(parts["head"])),
    )
