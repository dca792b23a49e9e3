"""`manage.py pubsubpull_erase`: erases what the log knows of an object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.audit import erasure
from pubsubpull.capture import registry
from pubsubpull.management.refusing import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Erases, or says what would be."""

    help = (
        "Erases the rows, old and new, of every change of one object from the log, on a person's request. That there "
        "were changes, when, and by which request stays; so does a record of that. Without --yes it only says how "
        "many. It does not touch the object itself, nor what subscribers have: delete it first, and they hear of it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="The model's label, as shop.customer.")
        parser.add_argument("key", help="The key; of a composite one, a JSON array.")
        parser.add_argument("--reason", default="", help="Kept with the record.")
        parser.add_argument("--by", default="", help="Who erases; kept with the record.")
        parser.add_argument("--yes", action="store_true", help="Do it: there is no way back.")

    def handle(self, *, model: str, key: str, reason: str, by: str, yes: bool, **_: Any) -> None:
        using, label = conf.get().DATABASE, model.lower()
        if registry.get(label) is None:
            raise CommandError(f"{model} is not published. Published are: {', '.join(registry.all_publications())}.")
        found = erasure.find(using, label, key)
        if not found.changes:
            raise CommandError(f"The log has no changes of {label} {key}.")
        if not yes:
            self.stdout.write(
                f"{found.changes - found.erased} changes of {label} {key} would be erased. Do it with --yes."
            )
            return
        erased = erasure.erase(using, label, key, by=by, reason=reason)
        self.stdout.write(self.style.SUCCESS(f"{erased} changes of {label} {key} are erased."))
