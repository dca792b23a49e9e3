"""`manage.py pubsubpull_import`: brings the past that another audit package wrote down into the log."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import psycopg.errors
from django.core.management.base import CommandError
from django.db import ProgrammingError

from pubsubpull import conf, exceptions
from pubsubpull.audit.imports import packages
from pubsubpull.capture import clock
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.audit.imports.past import Import, Staged

LEFT_OUT = {
    "known": "are in the log already",
    "captured": "are of the time since capture began",
    "same": "changed nothing that the log would have",
    "erased": "are of objects that were erased from the log",
    "retention": "are older than RETENTION keeps",
}


class Command(RefusingCommand):
    """Imports, or with `--dry-run` counts the rows that it would import."""

    help = (
        "Imports the changes of published models that django-simple-history, django-auditlog or django-pghistory has "
        "recorded, with their times, values and users. They belong to histories, not to the feed: no subscriber and "
        "no replica gets them. After an interruption, run the command again: no change is imported twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("package", choices=sorted(packages.PACKAGES), help="The package that recorded the changes.")
        parser.add_argument("models", nargs="*", metavar="MODEL", help="Published models; by default all.")
        parser.add_argument("--dry-run", action="store_true", help="Only count the changes to import.")

    def handle(self, *, package: str, models: list[str], dry_run: bool, **_: Any) -> None:
        settings = conf.get()
        keep = settings.RETENTION
        # By the database's clock: the clocks of several machines may disagree.
        oldest = clock.moment(settings.DATABASE) - dt.timedelta(seconds=keep) if keep else None
        try:
            for one in packages.imports(package, models, using=settings.DATABASE, oldest=oldest):
                self._import(one, dry_run=dry_run)
        except exceptions.ImportFailed as error:
            raise CommandError(str(error)) from error
        except ProgrammingError as error:
            if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
            raise CommandError(
                f"The database's role may not write the log's past ({str(error).strip()}): import as the one that owns "
                "the log, with the right to read the other package's tables."
            ) from error
        if keep:
            self.stdout.write(
                f"RETENTION is {keep:,.0f} seconds: what was imported goes once it is older than that, as all changes."
            )

    def _import(self, one: Import, *, dry_run: bool) -> None:
        label = one.publication.label
        imported = one.look() if dry_run else one.begin()
        self.stdout.write(
            f"{label}: {imported.new:,} changes {'would be' if dry_run else 'are to be'} imported{_span(imported)}."
        )
        for name, words in LEFT_OUT.items():
            if number := getattr(imported, name):
                self.stdout.write(f"  {number:,} {words}")
        for note in one.source.notes:
            self.stdout.write(f"  {note}")
        if not dry_run:
            self._run(one, imported)

    def _run(self, one: Import, found: Staged) -> None:
        written = 0
        for part in one.run():
            written += part
            self.stdout.write(f"  {written:,} of {found.new:,}")
        # Not an error of `run`: the changes that the other import has moved are skipped there.
        if written < found.new:
            raise CommandError(
                f"{one.publication.label}: another import was at it at the same time, and {found.new - written:,} "
                "changes were not brought in by this one. Run it again."
            )
        self.stdout.write(self.style.SUCCESS(f"{one.publication.label}: {written:,} changes are imported."))


def _span(found: Staged) -> str:
    return f", from {found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}" if found.first and found.last else ""
