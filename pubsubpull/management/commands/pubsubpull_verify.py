"""`manage.py pubsubpull_verify`: whether the past of the log is what was sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.audit import seals
from pubsubpull.management.refusing import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

EVERY = 100
"""After how many seals progress is printed."""


class Command(RefusingCommand):
    """Verifies."""

    help = (
        "Compares the log with its seals, names each change that was altered, taken out or put in, and fails where "
        "there is one. Without --expect somebody who may write to the database could have sealed it anew."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--expect", metavar="HASH", help="A hash that pubsubpull_seal has printed, kept elsewhere.")

    def handle(self, *, expect: str | None, **_: Any) -> None:
        using = conf.get().DATABASE
        there = seals.count(using)
        found: list[str] = []
        changes, hashes = 0, set()
        for looked in seals.verify(using, there):
            changes += looked.changes
            hashes.add(looked.seal.hash)
            found += looked.problems
            for problem in looked.problems:
                self.stderr.write(self.style.ERROR(problem))
            if looked.seal.id % EVERY == 0:
                self.stderr.write(f"seal {looked.seal.id} of {there.last}")
        if expect is not None and expect.strip().lower() not in hashes:
            found.append("expected")
            self.stderr.write(self.style.ERROR("No seal has the hash that is expected: seals are gone, or made anew."))
        if found:
            raise CommandError(f"The log is not what was sealed: problems: {len(found)}.")
        self.stdout.write(self.style.SUCCESS(f"{changes} changes are as they were sealed, by {there.count} seals."))
        if there.dropped:
            self.stdout.write(f"Changes up to version {there.dropped} have gone by retention.")
        if there.erased:
            self.stdout.write(f"{there.erased} changes were erased on request.")
        if there.imported:
            self.stdout.write(seals.IMPORTED)
