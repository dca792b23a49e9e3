"""Capture triggers: the ones that a publication needs, and the ones that the database has."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING

from django.db import connections, router
from psycopg import sql as psql

from pubsubpull.capture import registry, sql
from pubsubpull.capture.arguments import Arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pubsubpull.capture.registry import Publication
    from pubsubpull.capture.tables import Facts

# PostgreSQL fires triggers in the order of their names: ours must read a row before another trigger writes it again.
NAME_PREFIX = "00_pubsubpull_"
"""The start of the name of each capture trigger. The rest is its kind, as `row` or `insert`."""

QualifiedName = tuple[str, str, str]
"""The schema, the table and the name of a trigger."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trigger:
    """A trigger that a publication needs."""

    schema: str
    """The table's schema."""
    table: str
    """The table's name, without its schema."""
    name: str
    """`NAME_PREFIX` and the trigger's kind."""
    statement: psql.Composed
    """The CREATE OR REPLACE TRIGGER statement."""
    arguments: Arguments
    """The trigger's arguments, which are part of `statement`."""

    @property
    def qualified_name(self) -> QualifiedName:
        """The schema, the table and the name."""
        return self.schema, self.table, self.name

    @property
    def fingerprint(self) -> str:
        """A hash of `statement`: `pubsubpull:` and 32 hexadecimal digits. The trigger has it as its comment."""
        # Of the text as psycopg quotes it without a connection: it is the same for every server and session.
        return "pubsubpull:" + hashlib.sha256(self.statement.as_string().encode()).hexdigest()[:32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstalledTrigger:
    """A capture trigger that the database has."""

    fingerprint: str | None
    """The fingerprint of the `Trigger` that it was created from; None if the trigger is disabled."""
    log: str
    """The schema of the log that it writes to."""
    arguments: Arguments
    """The arguments that it was created with."""


def publications(using: str) -> Iterator[Publication]:
    """Yield the publications with a table in the database `using`, by `publish(using=)` and the routers."""
    for publication in registry.all_publications().values():
        selected = publication.using is None or using in publication.using
        if selected and router.allow_migrate_model(using, publication.model):
            yield publication


def log_schema(using: str) -> str | None:
    """Return the schema of the log in the database `using`; None if the database has no log."""
    # A project may have other databases beside: they have no log, and that is no error.
    if connections[using].vendor != "postgresql":
        return None
    ((schema,),) = sql.run(using, sql.template("queries/capture/log_schema"))
    return None if schema is None else str(schema)


def wanted(publication: Publication, table: Facts, *, schema: str) -> list[Trigger]:
    """Return the triggers that capture `table`, its partitions and its children; `schema` is the log's."""
    arguments = Arguments.of(publication, table)
    name = (table.schema, table.table)
    kinds = ["row"] if table.level(publication.level) == "row" else ["insert", "update", "delete"]
    # TRUNCATE ONLY empties a parent and leaves its children's rows, which readers count as rows of the parent.
    kinds.append("truncate_partition" if table.children else "truncate")
    triggers = [build(kind, name, arguments, schema=schema) for kind in kinds]
    triggers += [build("truncate_partition", partition, arguments, schema=schema) for partition in table.partitions]
    for child in table.children:
        child_arguments = arguments.of_child(table, child)
        # By row: a write that names the parent does not fire the statement triggers of the child.
        kinds = ["row", "truncate_partition"]
        triggers += [build(kind, child.qualified_name, child_arguments, schema=schema) for kind in kinds]
    return triggers


def build(kind: str, table: tuple[str, str], arguments: Arguments, *, schema: str) -> Trigger:
    """Return the trigger of a kind on a table, given as its schema and name.

    `kind` names a file of `sql/triggers/`. `schema` is the log's: the trigger calls a function there.
    """
    statement = sql.compose(
        f"triggers/{kind}",
        name=psql.Identifier(NAME_PREFIX + kind),
        table=psql.Identifier(*table),
        schema=psql.Identifier(schema),
        # Literals: CREATE TRIGGER accepts no bound parameters.
        arguments=psql.SQL(", ").join(map(psql.Literal, arguments.texts())),
    )
    return Trigger(schema=table[0], table=table[1], name=NAME_PREFIX + kind, statement=statement, arguments=arguments)


def installed(schema: str, using: str) -> tuple[dict[QualifiedName, InstalledTrigger], dict[QualifiedName, str]]:
    """Return the installed triggers that write to the log in `schema`, and the log's schema of each other trigger."""
    own: dict[QualifiedName, InstalledTrigger] = {}
    foreign: dict[QualifiedName, str] = {}
    for table_schema, table, name, fingerprint, log, arguments in sql.run(
        using, sql.template("queries/capture/triggers")
    ):
        if log == schema:
            own[table_schema, table, name] = InstalledTrigger(
                fingerprint=fingerprint, log=log, arguments=Arguments.read(bytes(arguments))
            )
        else:
            foreign[table_schema, table, name] = str(log)
    return own, foreign
