"""`manage.py pubsubpull_maintain`: makes and drops the log's partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate import maintenance, retention_warnings

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Makes one pass, or with `--dry-run` shows its steps."""

    help = (
        "Creates partitions of the change log ahead, and drops partitions whose changes are all older than RETENTION, "
        "with the requests that no change refers to any more. Delivery workers do the same every MAINTAIN_INTERVAL: "
        "without workers, run the command by cron. If the log is protected (pubsubpull_protect), only its owner may "
        "drop old changes: run the command by cron as the owner."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only show the steps that are due.")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        report = maintenance.run(conf.get(), dry_run=dry_run)
        would = "would be " if dry_run else ""
        for name in report.made:
            self.stdout.write(f"{would}made: {name}")
        for name in report.dropped:
            self.stdout.write(f"{would}dropped: {name}")
        if report.trimmed or report.requests:
            self.stdout.write(f"deleted: {report.trimmed} changes, {report.requests} requests")
        for subscription in report.lapsing:
            self.stderr.write(f"lapsing: {subscription} has not been sent changes that are dropped soon")
            if not dry_run:
                retention_warnings.warn(subscription)
        for subscription in report.lapsed:
            self.stderr.write(f"{would}lapsed: {subscription} has not been sent changes that are dropped")
        # After the lists: steps that were done are printed even if others fail the command.
        if report.left:
            raise CommandError(
                f"This role may not do what is due: {'; '.join(report.left)}. The log is protected from it: run this "
                f"as {report.owner}, its owner."
            )
        if report.held_up:
            raise CommandError(f"Other sessions' locks prevented: {'; '.join(report.held_up)}. Run it again.")
        self.stdout.write(self.style.SUCCESS("The log is in order." if not dry_run else "Nothing was changed."))
