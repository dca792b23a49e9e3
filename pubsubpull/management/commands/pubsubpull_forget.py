"""`manage.py pubsubpull_forget`: takes columns that are excluded or masked by now out of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.audit.integrity import forgetting
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

PROGRESS_EVERY = 100
"""After how many parts of the log progress is printed."""


class Command(RefusingCommand):
    """Forgets columns; without `--yes` it only counts the changes that have them."""

    help = (
        "Removes columns from all changes of a model in the log: columns that were excluded or masked after they had "
        "been captured, and columns that no field has any more. Readers do not get excluded and masked columns in any "
        "case; afterwards the log does not have them either. A record names the changes that had them, and seals still "
        "verify. Without --yes the changes are only counted. The table itself, backups and the data of subscribers "
        "stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="The model's label, as shop.customer.")
        parser.add_argument("columns", nargs="+", metavar="COLUMN", help="A column, by its name in the log.")
        parser.add_argument("--reason", default="", help="The reason; kept with the record.")
        parser.add_argument("--by", default="", help="The name of the person; kept with the record.")
        parser.add_argument("--yes", action="store_true", help="Do it. It cannot be undone.")
        parser.add_argument("--batch", type=int, default=forgetting.CHANGES_AT_ONCE, help="Changes of one transaction.")

    def handle(self, *, model: str, columns: list[str], reason: str, by: str, yes: bool, batch: int, **_: Any) -> None:
        if batch < 1:
            raise CommandError("--batch: at least 1.")
        using = conf.get().DATABASE
        what = forgetting.columns(model, columns)
        names = f"{', '.join(columns)} of {what.model}"
        if not yes:
            count = forgetting.count(what, using=using)
            self.stdout.write(f"{count:,} changes have {names}; it would be taken out of them. Do it with --yes.")
            return
        changes = 0
        steps = forgetting.forget(what, by=by, reason=reason, using=using, at_once=batch)
        for number, done in enumerate(steps, 1):
            changes = done.changes
            if number % PROGRESS_EVERY == 0:
                # At most 1: the next id is beyond the last at the end.
                share = min((done.next - done.first) / (done.last - done.first + 1), 1)
                self.stderr.write(f"{share:.0%} of the log, {changes:,} changes")
        self.stdout.write(self.style.SUCCESS(f"{changes:,} changes are without {names} now."))
