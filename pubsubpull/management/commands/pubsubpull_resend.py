"""`manage.py pubsubpull_resend`: puts chosen rows into the log once more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldError, ValidationError
from django.core.management.base import CommandError
from django.db import DataError

from pubsubpull import conf
from pubsubpull.capture import registry
from pubsubpull.log import resend
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Resends rows."""

    help = (
        "Writes the present rows of a published model into the log once more: as updates whose old and new row are "
        "equal. All readers of the model get them again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="The label of a published model.")
        parser.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="LOOKUP=VALUE",
            help="As in a query: status=paid, id__gt=7.",
        )
        parser.add_argument("--all", action="store_true", help="All rows.")
        parser.add_argument("--dry-run", action="store_true", help="Only count the rows.")

    def handle(self, *, model: str, filter: list[str], dry_run: bool, **options: Any) -> None:  # noqa: A002
        publication = registry.get(model.lower())
        if publication is None:
            raise CommandError(f"{model} is not published. Published are: {', '.join(registry.all_publications())}.")
        # Neither is an error as well: all rows of a large table are much to send by mistake.
        if bool(filter) == options["all"]:
            raise CommandError("Say which rows with --filter, or --all.")
        using = conf.get().DATABASE
        try:
            # The base manager: a default manager may hide rows.
            rows = publication.model._base_manager.using(using).filter(**dict(map(_lookup, filter)))
            if dry_run:
                self.stdout.write(f"{rows.count():,} rows of {publication.label} would be sent again.")
                return
            count = resend.write(publication, rows, using=using)
        except (FieldError, ValidationError, ValueError, DataError) as error:
            raise CommandError(f"--filter: {error}") from error
        self.stdout.write(self.style.SUCCESS(f"{count:,} rows of {publication.label} are in the log once more."))


def _lookup(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise CommandError(f"--filter {text}: it is LOOKUP=VALUE.")
    # JSON first, for numbers, booleans and lists; any other text is a text.
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
