"""`manage.py pubsubpull_protect`: makes the log append-only by right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connections

from pubsubpull import conf, exceptions
from pubsubpull.audit.integrity import protection
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Protects the log, takes the protection back, or with `--dry-run` shows the statements."""

    help = (
        "Takes from the application's role every right to change the log except through the triggers, and shows its "
        "rights on each table. Run it as the log's owner, or with --owner as a superuser. Afterwards "
        "migrate, pubsubpull_maintain, _seal, _erase, _resend, _import and _triggers --sync need the owner's rights; "
        "the application, pubsubpull_deliver and pubsubpull_verify do not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--role", help="The application's role; by default the user of the database's settings.")
        parser.add_argument("--owner", help="The role that owns the log from now on.")
        parser.add_argument("--undo", action="store_true", help="Give the rights back, and with --owner the log.")
        parser.add_argument("--dry-run", action="store_true", help="Only show the statements and the present rights.")

    def handle(self, *, role: str | None, owner: str | None, undo: bool, dry_run: bool, **_: Any) -> None:
        using = conf.get().DATABASE
        role = role or str(connections[using].settings_dict["USER"])
        try:
            # All are collected before the first runs, so that --dry-run shows exactly these.
            todo = protection.statements(role, owner=owner, undo=undo, using=using)
            if not dry_run:
                protection.run(todo, using=using)
            for statement in todo if dry_run else ():
                self.stdout.write(f"{statement};")
            self._show(role, using)
            # Asked of the database, not inferred from the statements: another role may have granted rights too.
            left = protection.holes(role, using=using)
        except exceptions.ProtectionError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"Nothing was changed: {str(error).splitlines()[0]}") from error
        if undo or dry_run:
            return
        if left:
            raise CommandError(f"The log is not append-only for {role}: {'; '.join(left)}.")
        self.stdout.write(self.style.SUCCESS(f"The log is append-only for {role}."))
        if protection.owned_by_superuser(using):
            self.stdout.write(
                "The log's functions run with the rights of a superuser. Name, by --owner, a role "
                "of the log's own that nobody logs in as."
            )
        if conf.get().RETENTION:
            owner = protection.tables(role, using=using)[0].owner
            self.stdout.write(f"RETENTION is set: run pubsubpull_maintain by cron as {owner}, to drop old changes.")

    def _show(self, role: str, using: str) -> None:
        """Print the rights of a role on each table; partitions with the same owner and rights share a line."""
        lines: dict[tuple[str, str, str], int] = {}
        for table in protection.tables(role, using=using):
            may = ", ".join(table.rights) or "nothing"
            name = "its partitions" if table.partition else table.name
            line = (name, table.owner, f"everything, as {table.owner}" if table.owns else may)
            lines[line] = lines.get(line, 0) + 1
        self.stdout.write(f"{'table':24} {'owner':24} what {role} may do")
        for (name, owner, may), count in lines.items():
            self.stdout.write(f"{f'{name} ({count})' if count > 1 else name:24} {owner:24} {may}")
