"""A migration operation that runs files of `sql/schema/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import Operation

from pubsubpull.capture import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.migrations.state import ProjectState


class RunFiles(Operation):
    """Runs the named files, in order, on PostgreSQL; on any other database there is no log, and nothing is done.

    `undo` names the file that drops everything that the others create.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, purpose: str, files: Sequence[str], *, undo: str | None = None) -> None:
        self.purpose = purpose
        self.files = list(files)
        self.undo = undo

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return the class name and the arguments that create this operation."""
        return type(self).__name__, [self.purpose, self.files], {"undo": self.undo} if self.undo else {}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Do nothing: the models are separate operations."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Run the files."""
        self._run(app_label, schema_editor, self.files)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Run the `undo` file."""
        self._run(app_label, schema_editor, [self.undo] if self.undo else [])

    def _run(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, files: Any) -> None:
        from django.db import router

        connection = schema_editor.connection
        if connection.vendor == "postgresql" and router.allow_migrate(connection.alias, app_label):
            for statement in schema.statements(files, using=connection.alias):
                # None, and not an empty tuple, with which psycopg would read each % as a placeholder.
                schema_editor.execute(statement, params=None)

    def describe(self) -> str:
        """Return a description of the operation, for `migrate --plan`."""
        return f"{self.purpose[:1].upper()}{self.purpose[1:]} ({len(self.files)} SQL files)"
