"""`manage.py pubsubpull_verify`: proves that the past of the log equals its seals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.audit.integrity.verifying import Verification
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.audit.integrity.verifying import Rest

SEALS_PER_LINE = 100
"""After how many seals progress is printed."""


class Command(RefusingCommand):
    """Verifies the log by its seals."""

    help = (
        "Compares the log with its seals, and names each change that was altered, removed or inserted; fails if there "
        "is such a change. The digests are computed here from the rows: no function of the database is trusted. A "
        "person with write access to the database could seal an altered log again: --expect proves that nobody has. "
        "Pass the newest hash that was kept, since later seals are not proved by it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--expect", metavar="HASH", help="A hash that pubsubpull_seal has printed, kept elsewhere.")

    def handle(self, *, expect: str | None, **_: Any) -> None:
        settings = conf.get()
        verification = Verification(settings.DATABASE, expect=expect, keep=settings.RETENTION)
        problems = list(verification.problems)
        changes = 0
        for problem in verification.problems:
            self.stderr.write(self.style.ERROR(problem))
        for looked in verification.looks():
            changes += looked.changes
            problems += looked.problems
            for problem in looked.problems:
                self.stderr.write(self.style.ERROR(problem))
            if looked.id % SEALS_PER_LINE == 0:
                self.stderr.write(f"seal {looked.id} of {verification.last}")
        # A chain that was deleted must not pass as verified.
        if not verification.count:
            problems.append("There are no seals: nothing is proved. Run pubsubpull_seal, and keep its hash.")
            self.stderr.write(self.style.ERROR(problems[-1]))
        # After the last seal: reading the seals' results is what determines the rest.
        rest = verification.rest()
        self._tell(rest)
        if problems:
            raise CommandError(f"The log is not what was sealed: problems: {len(problems)}.")
        self.stdout.write(
            self.style.SUCCESS(f"{changes} changes are as they were sealed, by {verification.count} seals.")
        )

    def _tell(self, rest: Rest) -> None:
        if rest.gone:
            self.stdout.write(f"Changes up to version {rest.gone} have gone by retention.")
        if rest.erased:
            self.stdout.write(f"{rest.erased} changes were erased on request.")
        if rest.erasures:
            self.stdout.write("No proved seal covers these erasures yet; compare them with the requests for them:")
        for erasure in rest.erasures:
            who = f" by {erasure.by}" if erasure.by else ""
            why = f": {erasure.reason}" if erasure.reason else ""
            what = f"columns {', '.join(erasure.columns)} of " if erasure.columns else ""
            self.stdout.write(
                f"  {what}{erasure.changes} changes of {erasure.model} {erasure.key}, {erasure.at}{who}{why}"
            )
        if rest.imported:
            self.stdout.write(f"{rest.imported} imported changes are not sealed yet: pubsubpull_seal does.")
        if rest.after:
            self.stdout.write(
                f"{rest.after} seals are later than the expected seal, which does not prove the changes they cover. "
                "Pass the newest hash that was kept."
            )
