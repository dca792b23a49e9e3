"""`manage.py pubsubpull_triggers`: the triggers that capture the published models, and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connections

from pubsubpull import conf, exceptions
from pubsubpull.audit.integrity import baseline as recording
from pubsubpull.capture import planning, syncing
from pubsubpull.management import command_errors
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

PROGRESS_ROWS = 50_000
"""After how many rows of a baseline progress is printed."""


class Command(RefusingCommand):
    """Lists the triggers, syncs or checks them, and records baselines."""

    help = (
        "Lists the triggers that capture the published models, and the steps until the database agrees with the "
        "publications. --sync does these steps, as each migrate does. --check fails if there are any. "
        "--baseline records the present rows of a table, so that their histories begin with them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--database", choices=tuple(connections), help="The database's alias; by default the setting DATABASE."
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--sync", action="store_true", help="Create, replace and drop triggers as needed.")
        what.add_argument("--check", action="store_true", help="End with an error if there are steps to do.")
        parser.add_argument(
            "--wait",
            type=float,
            metavar="SECONDS",
            help="With --sync: the longest wait for locked tables; by default the setting LOCK_WAIT.",
        )
        parser.add_argument(
            "--baseline",
            nargs="+",
            default=[],
            metavar="MODEL",
            help="Record the rows of these models without a change in the log. It may be interrupted and run again.",
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--again",
            action="store_true",
            help="With --baseline: also rows that have changes. It prints the --since with which to go on.",
        )
        which.add_argument(
            "--since", type=int, metavar="VERSION", help="With --baseline: rows without a change after this version."
        )

    def handle(
        self,
        *,
        database: str | None,
        sync: bool,
        check: bool,
        wait: float | None,
        baseline: list[str],
        again: bool,
        since: int | None,
        **_: Any,
    ) -> None:
        if (again or since is not None) and not baseline:
            raise CommandError("--again and --since say which rows --baseline records: name its models.")
        database = database or conf.get().DATABASE
        if connections[database].vendor != "postgresql":
            raise CommandError(f"The database {database} is not PostgreSQL. Name the log's by --database.")
        if sync or check or not baseline:
            # Before baselines, which are refused for tables without their triggers.
            self._reconcile(database, sync=sync, check=check, wait=wait)
        if again:
            since = self._now(database)
        for label in map(str.lower, baseline):
            self._baseline(label, database, since)

    def _now(self, database: str) -> int:
        """Return the version after which all rows are recorded. Print first how to go on after an interruption."""
        try:
            since = recording.last_version(database)
        except DatabaseError as error:
            raise CommandError(f"The log cannot be read: {str(error).splitlines()[0]}") from error
        self.stderr.write(f"If this is interrupted, go on with --since {since} instead of --again.")
        return since

    def _baseline(self, label: str, database: str, since: int | None) -> None:
        # For a table without rows, which yields no progress.
        done = recording.Progress(looked=0, written=0)
        try:
            for done in recording.baseline(label, using=database, since=since):
                if done.looked % PROGRESS_ROWS == 0:
                    self.stderr.write(f"{label}: {done.looked:,} rows, {done.written:,} of them recorded")
        except exceptions.PublicationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS(f"{label}: {done.written:,} of {done.looked:,} rows are new in the log."))

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        # The wait for a lock that it reports may take long.
        self.stderr.flush()

    def _reconcile(self, database: str, *, sync: bool, check: bool, wait: float | None) -> None:
        plan = planning.plan(database)
        if plan is None:
            raise CommandError(command_errors.without_log(database))
        synced = syncing.Synced(left=plan.actions)
        if sync:
            synced = syncing.perform(plan.actions, database, wait=wait, say=self._say)
        else:
            for trigger in plan.wanted:
                self.stdout.write(f"{trigger.schema}.{trigger.table}: {trigger.name}")
        for action in synced.done:
            self.stdout.write(f"done: {action}")
        for action in synced.left:
            self.stdout.write(f"to do: {action}")
        gaps = plan.gaps(database)
        for gap in gaps:
            self.stderr.write(f"{gap}.")
        if check and (plan.actions or gaps):
            raise CommandError("The triggers differ from what is published. Run: manage.py pubsubpull_triggers --sync")
        if sync and synced.left:
            raise CommandError("Some tables were in use all the time. Run it again, or with a longer --wait.")
        if not plan.actions:
            self.stdout.write(self.style.SUCCESS(f"All {len(plan.wanted)} triggers are installed."))
