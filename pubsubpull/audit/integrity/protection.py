"""Makes the log append-only by PostgreSQL's rights: finds and revokes the rights of the application's role."""

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
SUPERUSER = "{} is a superuser, and so bypasses every check of rights: let the application use another role"
NAMED_OF_A_KIND = 5
"""Holes of one kind that are named."""
HOLES = {
    "superuser": "{role} may become {by}, a superuser, which bypasses every check of rights",
    "member": "{role} is a member of {by}",
    "createrole": "{by} may create roles, and before PostgreSQL 16 join any: ALTER ROLE {by} NOCREATEROLE",
    "owner": "{role} is, or may become, {by}, which owns {object}",
    "schema owner": (
        "{role} may drop everything in the schema {object}, which {by} owns: change the owner of the schema, or of the "
        "database for the schema public, and grant {role} the rights that it needs"
    ),
    "database owner": "{role} may drop the database {object}, which {by} owns: change its owner",
    "create": (
        "{by} may create objects in the schema {object}, which an administrator may take for the log's own: "
        "REVOKE CREATE ON SCHEMA … FROM {by}"
    ),
    "sequence": "{by} may take or set the numbers of {object}",
    "call": "{by} may call {object}",
    "captured": (
        "{by} owns {object}: {role} may drop its triggers, and add columns whose casts to json run with the rights of "
        "the log's owner. Let another role own the table, and grant {role} to read and write it"
    ),
    "type": (
        "{by} owns the type {object} of a captured column, and so may create a cast to json: let another role own it"
    ),
    "cast": "the cast {object} of a captured column calls {by}, which {role} may alter: let another role own {by}",
    "trigger": "the trigger {by} on {object} is not pubsubpull's: drop it",
    "rule": "the rule {by} on {object} is not pubsubpull's: drop it",
    "policy": "the policy {by} on {object} is not pubsubpull's: drop it",
    "expression": (
        "a column, a default, a constraint or an index of {object} is not pubsubpull's, and uses the {by}: drop it"
    ),
    "foreign key": "a foreign key of {by} refers to {object}, and keeps old changes from being dropped: drop it",
    "parameter": (
        "{by} may set session_replication_role, and so stop all triggers: "
        "REVOKE SET ON PARAMETER session_replication_role FROM {by}"
    ),
    "foreign": "the function {by} has a name like those of pubsubpull, but is none of them: drop it",
}
"""By kind of hole, the text that explains it with the remedy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One of the log's tables, with the rights of a role."""

    name: str
    owner: str
    """The name of the owning role."""
    owns: bool
    """True if the role is the owner or a member of it."""
    partition: bool
    """True if the table is a partition of another."""
    rights: tuple[str, ...]
    """The role's rights, as `SELECT` and `INSERT`."""

    @property
    def writable(self) -> tuple[str, ...]:
        """The rights by which the role could add, alter or delete changes."""
        return tuple(right for right in self.rights if right not in HARMLESS)


def tables(role: str, *, using: str) -> list[Table]:
    """Return the log's tables, partitions last. Raises `ProtectionError` if there is no such role."""
    _check_role(role, using)
    query = _compose("queries/audit/rights", role=role)
    return [
        Table(name=name, owner=owner, owns=owns, partition=partition, rights=tuple(rights))
        for name, owner, owns, partition, rights in sql.run(using, query)
    ]


def statements(role: str, *, owner: str | None, undo: bool, using: str) -> list[str]:
    """Return the SQL statements that make the log append-only for a role. With `undo`, return those to undo it.

    With `owner`, the log gets that role as its owner first. Raises `ProtectionError` if the role could grant itself
    everything again.
    """
    log_tables = tables(role, using=using)
    if owner is not None:
        _check_role(owner, using)
    if not undo:
        _check_owner(role, owner, log_tables, using)
    query = _compose("queries/audit/protect_statements", role=role, owner=owner, undo=undo)
    altered = functions.statements(_functions(using).differing, using)
    return altered + [text for (text,) in sql.run(using, query)]


def run(statements: Sequence[str], *, using: str) -> None:
    """Run the statements, all or none.

    Raises `OperationalError` if locks of other transactions are in the way for long, and `ProtectionError` if the log
    has functions that are not pubsubpull's.
    """
    with transaction.atomic(using):
        sql.run(using, sql.template("queries/audit/patience"))
        for statement in statements:
            # PostgreSQL itself has quoted the names in it.
            sql.run(using, psql.SQL(statement))
        # Last, since an altered function is known as ours only after it was replaced. A foreign function has just been
        # given to the log's owner: if it is SECURITY DEFINER, or a trigger calls it, it would run with that role's
        # rights.
        if foreign := _foreign(using):
            raise exceptions.ProtectionError(f"Nothing was changed: {'; '.join(foreign)}.")


def holes(role: str, *, using: str) -> list[str]:
    """Return a text for each way by which the role may still alter the log; empty if the log is append-only."""
    if _is_super(role, using):
        return [SUPERUSER.format(role)]
    by_kind: dict[str, list[str]] = {}
    for kind, thing, by in sql.run(using, _compose("queries/audit/holes", role=role)):
        by_kind.setdefault(kind, []).append(HOLES[kind].format(role=role, object=thing, by=by))
    # Rights on parameters exist from PostgreSQL 15 on.
    if connections[using].pg_version >= 150000:  # type: ignore[attr-defined]
        by_kind["parameter"] = [
            HOLES["parameter"].format(by=by)
            for (by,) in sql.run(using, _compose("queries/audit/parameters", role=role))
        ]
    if writable := [table for table in tables(role, using=using) if table.writable and not table.owns]:
        by_kind["right"] = [f"{role} may {', '.join(table.writable)} {table.name}" for table in writable]
    by_kind["foreign"] = _foreign(using)
    return [text for texts in by_kind.values() for text in _first_of(texts)]


def owned_by_superuser(using: str) -> bool:
    """Return True if a superuser owns the log's functions, so that triggers run with a superuser's rights."""
    return bool(sql.run(using, sql.template("queries/audit/owner_is_super"))[0][0])


def _first_of(texts: list[str]) -> list[str]:
    left = len(texts) - NAMED_OF_A_KIND
    return texts[:NAMED_OF_A_KIND] + ([f"and {left} more of the kind"] if left > 0 else [])


def _compose(file: str, **parts: Any) -> psql.Composed:
    """Return a query with the parts that all have in common: the log's tables and functions, and reachable roles."""
    return sql.compose(
        file,
        tables=sql.template("queries/audit/log_tables"),
        functions=sql.template("queries/audit/log_functions"),
        reachable=sql.compose("queries/audit/reachable", role=parts["role"]),
        **parts,
    )


def _foreign(using: str) -> list[str]:
    return _first_of([HOLES["foreign"].format(by=signature) for signature in _functions(using).foreign])


def _functions(using: str) -> functions.State:
    return functions.state(str(triggers.log_schema(using)), using)


def _check_owner(role: str, owner: str | None, log_tables: list[Table], using: str) -> None:
    """Raise `ProtectionError` if the role could grant itself everything again."""
    if _is_super(role, using):
        raise exceptions.ProtectionError(f"{SUPERUSER.format(role)}.")
    # Revoking rights from the owner itself would not help, and would also stop the triggers, which write as the owner.
    if owner is None and any(table.owns for table in log_tables):
        raise exceptions.ProtectionError(
            f"{role} owns the log, or may become its owner, and an owner can grant itself everything again. Create a "
            "role without login that owns the log: CREATE ROLE pubsubpull_log NOLOGIN; then run this command as a "
            "superuser with --owner pubsubpull_log."
        )
    if owner is not None and sql.run(using, sql.compose("queries/audit/may_become", role=role, owner=owner))[0][0]:
        raise exceptions.ProtectionError(
            f"{role} is, or may become, {owner}: name an owner that {role} is not a member of."
        )


def _is_super(role: str, using: str) -> bool:
    return bool(sql.run(using, sql.compose("queries/audit/role", role=role))[0][0])


def _check_role(role: str, using: str) -> None:
    if not sql.run(using, sql.compose("queries/audit/role_exists", role=role))[0][0]:
        raise exceptions.ProtectionError(f"The role {role} does not exist. Create it, or name another.")
