"""`manage.py pubsubpull_erase`: erases the data of an object from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import transaction

from pubsubpull import conf
from pubsubpull.audit.integrity import erasure
from pubsubpull.log import resend as resending
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.audit.integrity.erasure import Traces
    from pubsubpull.capture.registry import Publication


class Command(RefusingCommand):
    """Erases; without `--yes` it only counts the changes that it would erase."""

    help = (
        "Erases the rows, old and new, of every change of one object from the log, on a person's request, and those "
        "of its dead letters. The time and the request of each change stay, and a record of the erasure. Without "
        "--yes the changes are only counted. The object itself and the data of subscribers stay: delete the object "
        "first, and all subscribers get the delete, including those that are behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="The model's label, as shop.customer.")
        parser.add_argument(
            "keys", nargs="+", metavar="key", help="The key of the object; a composite key is a JSON array."
        )
        parser.add_argument("--reason", default="", help="The reason; kept with the record.")
        parser.add_argument("--by", default="", help="The name of the person; kept with the record.")
        parser.add_argument(
            "--resend",
            action="store_true",
            help="If the object is still in its table: write its present row into the log, for all readers.",
        )
        parser.add_argument("--yes", action="store_true", help="Do it. It cannot be undone.")

    def handle(self, *, model: str, keys: list[str], reason: str, by: str, resend: bool, yes: bool, **_: Any) -> None:
        using, publication = conf.get().DATABASE, erasure.publication(model.lower())
        label = publication.label
        # Before any erasure: the report afterwards is on the traces as they were.
        traces = {key: erasure.find(using, publication, key) for key in keys}
        for key, trace in traces.items():
            if not (trace.changes or trace.left):
                raise CommandError(f"The log has no changes of {label} {key}.")
        if not yes:
            for key, trace in traces.items():
                self.stdout.write(f"{trace.changes - trace.erased} changes of {label} {key} would be erased.")
                self._tell(publication, trace, given=keys)
            self.stdout.write("Do it with --yes.")
            return
        for key, trace in traces.items():
            # For all keys before the first erasure, which cannot be undone.
            if trace.has_row and not resend:
                raise CommandError(
                    f"{label} {key} is still in its table. Nothing was erased. Delete it first; or take out of it what "
                    "must go, and erase with --resend, which tells readers that were behind how it is now."
                )
        # One transaction: a person's request is fulfilled for all keys, or for none.
        with transaction.atomic(using):
            erased = {
                key: self._erase(using, publication, key, trace, by=by, reason=reason) for key, trace in traces.items()
            }
        for key, number in erased.items():
            self.stdout.write(self.style.SUCCESS(f"{number} changes of {label} {key} are erased."))
            self._tell(publication, traces[key], given=keys)

    def _erase(self, using: str, of: Publication, key: str, found: Traces, *, by: str, reason: str) -> int:
        erased = erasure.erase(using, of.label, key, by=by, reason=reason)
        # After the erasure, which would empty the new change too.
        if found.has_row:
            resending.write(of, erasure.rows(using, of, key), using=using)
        return erased

    def _tell(self, of: Publication, found: Traces, *, given: list[str]) -> None:
        """Print further traces of the object, and the data that is not erased."""
        if found.dead_letters:
            self.stdout.write(f"  {found.dead_letters} dead letters of subscriptions: their rows too.")
        if found.imported:
            self.stdout.write(f"  {found.imported} staged by an import, not in the log yet: these too.")
        if found.has_row:
            self.stdout.write("  The object is still in its table: its present row is written into the log again.")
        for earlier in found.earlier:
            if earlier not in given:
                self.stdout.write(f"  Its key may have been {earlier} before: erase that too, as another key.")
        for other in erasure.relatives(of):
            self.stdout.write(f"  {other} has rows of the same object: erase these by their model.")
        if found.requests:
            self.stdout.write(f"  The users, addresses and paths of {found.requests} requests stay.")
