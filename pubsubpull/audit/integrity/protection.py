"""The log append-only by right: what the application's role may do with it, and taking away what it should not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import connections, transaction
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import functions, sql, triggers

if TYPE_CHECKING:
    from collections.abc import Sequence

HARMLESS = {"SELECT"}
SUPERUSER = "{} is a superuser, whom no right holds: let the application use a role that is none"
EACH = 5
"""So many holes of a kind are named."""
KINDS = {
    "superuser": "{role} may become {by}, a superuser, whom no right holds",
    "member": "{role} is a member of {by}",
    "createrole": "{by} may create roles, and before PostgreSQL 16 join any: ALTER ROLE {by} NOCREATEROLE",
    "owner": "{role} is, or may become, {by}, which owns {object}",
    "schema owner": (
        "{role} may drop all that is in the schema {object}, which {by} owns: give it, or for the schema public the "
        "database, another owner, and {role} the rights that it needs"
    ),
    "database owner": "{role} may drop the database {object}, which {by} owns: give it another owner",
    "create": (
        "{by} may create in the schema {object} what is taken for the log's own by whoever looks after it: "
        "REVOKE CREATE ON SCHEMA … FROM {by}"
    ),
    "sequence": "{by} may take or set the numbers of {object}",
    "call": "{by} may call {object}",
    "captured": (
        "{by} owns {object}: {role} may take its triggers away, and give it columns whose casts to json run with the "
        "rights of the log's owner. Let another role own the tables, and {role} read and write them"
    ),
    "type": "{by} owns the type {object} of a captured column, and so may make a cast to json: let another role own it",
    "cast": "the cast {object} of a captured column calls {by}, which {role} may alter: let another role own that",
    "trigger": "the trigger {by} on {object} is not pubsubpull's: drop it",
    "rule": "the rule {by} on {object} is not pubsubpull's: drop it",
    "policy": "the policy {by} on {object} is not pubsubpull's: drop it",
    "expression": (
        "a column, a default, a constraint or an index of {object} is not pubsubpull's, and takes the {by}: drop it"
    ),
    "foreign key": "a foreign key of {by} refers to {object}, and keeps old changes from being dropped: drop it",
    "parameter": (
        "{by} may set session_replication_role, and have no trigger fire: "
        "REVOKE SET ON PARAMETER session_replication_role FROM {by}"
    ),
    "foreign": "the function {by} has a name as those of pubsubpull, and is none of them: drop it",
}
"""What each kind of hole means, and what to do about it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """What a role may do with one of the log's tables. `owns`: it is its owner, or a member of it."""

    name: str
    owner: str
    owns: bool
    partition: bool
    rights: tuple[str, ...]

    @property
    def writable(self) -> tuple[str, ...]:
        """The rights by which the past could be changed, or something put in."""
        return tuple(right for right in self.rights if right not in HARMLESS)


def tables(role: str, *, using: str) -> list[Table]:
    """Return the log's tables, its partitions last. Raises `ProtectionError` where there is no such role."""
    _check_role(role, using)
    query = _compose("queries/audit/rights", role=role)
    return [
        Table(name=name, owner=owner, owns=owns, partition=partition, rights=tuple(rights))
        for name, owner, owns, partition, rights in sql.run(using, query)
    ]


def statements(role: str, *, owner: str | None, undo: bool, using: str) -> list[str]:
    """Return what is to be done, as statements of SQL. Raises `ProtectionError` where that would protect nothing."""
    there = tables(role, using=using)
    if owner is not None:
        _check_role(owner, using)
    if not undo:
        _check_owner(role, owner, there, using)
    query = _compose("queries/audit/protect_statements", role=role, owner=owner, undo=undo)
    altered = functions.statements(_functions(using).differing, using)
    return altered + [text for (text,) in sql.run(using, query)]


def run(todo: Sequence[str], *, using: str) -> None:
    """Do it, all or nothing. Raises `OperationalError` where others' locks are in the way for long.

    Raises `ProtectionError` where others' functions are among the log's.
    """
    with transaction.atomic(using):
        sql.run(using, sql.template("queries/audit/patience"))
        for statement in todo:
            sql.run(using, psql.SQL(statement))  # PostgreSQL itself has quoted it
        # After the altered functions are made anew, so that each is known. What others made would by now be the log's
        # owner's, and where it is SECURITY DEFINER, or a trigger calls it, run with that role's rights.
        if foreign := _foreign(using):
            raise exceptions.ProtectionError(f"Nothing was changed: {'; '.join(foreign)}.")


def holes(role: str, *, using: str) -> list[str]:
    """Return by what the role may still change the log; empty where it may not."""
    if _is_super(role, using):
        return [SUPERUSER.format(role)]
    found: dict[str, list[str]] = {}
    for kind, thing, by in sql.run(using, _compose("queries/audit/holes", role=role)):
        found.setdefault(kind, []).append(KINDS[kind].format(role=role, object=thing, by=by))
    if connections[using].pg_version >= 150000:  # type: ignore[attr-defined]
        found["parameter"] = [
            KINDS["parameter"].format(by=by)
            for (by,) in sql.run(using, _compose("queries/audit/parameters", role=role))
        ]
    if writable := [one for one in tables(role, using=using) if one.writable and not one.owns]:
        found["right"] = [f"{role} may {', '.join(one.writable)} {one.name}" for one in writable]
    found["foreign"] = _foreign(using)
    return [text for texts in found.values() for text in _few(texts)]


def owned_by_superuser(using: str) -> bool:
    """Say whether the triggers run with the rights of a superuser."""
    return bool(sql.run(using, sql.template("queries/audit/owner_is_super"))[0][0])


def _few(texts: list[str]) -> list[str]:
    left = len(texts) - EACH
    return texts[:EACH] + ([f"and {left} more of the kind"] if left > 0 else [])


def _compose(file: str, **parts: Any) -> psql.Composed:
    """Fill in a query with what is asked about in each: the log's tables and functions, and the roles within reach."""
    return sql.compose(
        file,
        tables=sql.template("queries/audit/log_tables"),
        functions=sql.template("queries/audit/log_functions"),
        reachable=sql.compose("queries/audit/reachable", role=parts["role"]),
        **parts,
    )


def _foreign(using: str) -> list[str]:
    return _few([KINDS["foreign"].format(by=signature) for signature in _functions(using).foreign])


def _functions(using: str) -> functions.State:
    return functions.state(str(triggers.log_schema(using)), using)


def _check_owner(role: str, owner: str | None, there: list[Table], using: str) -> None:
    """Refuse what would protect nothing. To revoke from the owner would also keep the triggers from writing."""
    if _is_super(role, using):
        raise exceptions.ProtectionError(f"{SUPERUSER.format(role)}.")
    if owner is None and any(one.owns for one in there):
        raise exceptions.ProtectionError(
            f"{role} owns the log, or may become its owner, who can always grant itself everything again. Make a role "
            "that nobody logs in as, and let it own the log: CREATE ROLE pubsubpull_log NOLOGIN; then run this as a "
            "superuser with --owner pubsubpull_log."
        )
    if owner is not None and sql.run(using, sql.compose("queries/audit/may_become", role=role, owner=owner))[0][0]:
        raise exceptions.ProtectionError(
            f"{role} is, or may become, {owner}: name an owner of which {role} is no member."
        )


def _is_super(role: str, using: str) -> bool:
    return bool(sql.run(using, sql.compose("queries/audit/role", role=role))[0][0])


def _check_role(role: str, using: str) -> None:
    if not sql.run(using, sql.compose("queries/audit/role_exists", role=role))[0][0]:
        raise exceptions.ProtectionError(f"There is no role {role}.")
