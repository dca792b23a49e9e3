"""`manage.py pubsubpull_seal`: seals the past of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.audit.integrity import seals
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

SEALS_PER_LINE = 100
"""Seals between two lines of progress."""


class Command(RefusingCommand):
    """Seals."""

    help = (
        "Seals the settled changes of the log, the imported changes, and the records of erasures and of RETENTION. "
        "Each seal covers a range of changes and the seal before, and so all seals before. "
        "Keep the printed hash out of the reach of people with write access to the database; "
        "pubsubpull_verify --expect takes it. Run the command regularly, for example daily."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--age",
            type=float,
            default=86_400.0,
            help="Only changes older than so many seconds, whose requests have ended; a day by default.",
        )
        parser.add_argument("--size", type=int, default=seals.SEAL_SIZE, help="The most changes that a seal covers.")

    def handle(self, *, age: float, size: int, **_: Any) -> None:
        if age < 0 or size < 1:
            raise CommandError("--age must be 0 or more, and --size 1 or more.")
        settings, count = conf.get(), 0
        using = settings.DATABASE
        for seal in seals.seal(using, age=age, keep=settings.RETENTION, size=size):
            count += 1
            if count % SEALS_PER_LINE == 0:
                self.stderr.write(f"{count} seals, up to version {seal.last}")
        # Read again: without a new seal, the hash of an earlier one is still the one to keep.
        newest = seals.last(using)
        if newest is None:
            self.stdout.write("There is nothing to seal yet: no change is settled and older than --age.")
            return
        self.stdout.write(
            self.style.SUCCESS(f"{count} seals made. All captured changes up to version {newest.last} are sealed by:")
        )
        self.stdout.write(newest.hash)
