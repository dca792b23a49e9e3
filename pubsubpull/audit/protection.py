"""The log append-only by right: what the application's role may do with it, and taking away what it should not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.db import transaction
from psycopg import sql as psql

from pubsubpull import exceptions
from pubsubpull.capture import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

HARMLESS = {"SELECT"}
SUPERUSER = "{} is a superuser, whom no right holds: let the application use a role that is none"


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
    return [
        Table(name=name, owner=owner, owns=owns, partition=partition, rights=tuple(rights))
        for name, owner, owns, partition, rights in sql.run(using, sql.compose("queries/audit/rights", role=role))
    ]


def statements(role: str, *, owner: str | None, undo: bool, using: str) -> list[str]:
    """Return what is to be done, as statements of SQL. Raises `ProtectionError` where that would protect nothing."""
    there = tables(role, using=using)
    if owner is not None:
        _check_role(owner, using)
    if not undo:
        _check_owner(role, owner, there, using)
    query = sql.compose("queries/audit/protect_statements", role=role, owner=owner, undo=undo)
    return [text for (text,) in sql.run(using, query)]


def run(todo: Sequence[str], *, using: str) -> None:
    """Do it, all or nothing. Raises `OperationalError` where others' locks are in the way for long."""
    with transaction.atomic(using):
        sql.run(using, sql.template("queries/audit/patience"))
        for statement in todo:
            sql.run(using, psql.SQL(statement))  # PostgreSQL itself has quoted it


def holes(role: str, *, using: str) -> list[str]:
    """Return by what the role may still change the log; empty where it may not."""
    is_super, schema, has_schema, database, has_database, powers = _role(role, using)
    if is_super:
        return [SUPERUSER.format(role)]
    there = tables(role, using=using)
    found = [f"{role} is, or may become, {one.owner}, which owns {one.name}" for one in there if one.owns][:1]
    found += [f"{role} is a member of {power}" for power in powers]
    found += [f"{role} may {', '.join(one.writable)} {one.name}" for one in there if one.writable and not one.owns][:5]
    if has_schema:
        found.append(
            f"{role} may drop all that is in the schema {schema}, which it owns or may become the owner of: give the "
            f"{'database ' + database if has_database else 'schema'} another owner, and {role} the rights that it needs"
        )
    return found


def _check_owner(role: str, owner: str | None, there: list[Table], using: str) -> None:
    """Refuse what would protect nothing. To revoke from the owner would also keep the triggers from writing."""
    if _role(role, using)[0]:
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


def _role(role: str, using: str) -> tuple[Any, ...]:
    return sql.run(using, sql.compose("queries/audit/role", role=role))[0]


def _check_role(role: str, using: str) -> None:
    if not sql.run(using, sql.compose("queries/audit/role_exists", role=role))[0][0]:
        raise exceptions.ProtectionError(f"There is no role {role}.")
