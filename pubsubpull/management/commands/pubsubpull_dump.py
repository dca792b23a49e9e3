"""`manage.py pubsubpull_dump`: a published model's rows as a file."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.capture import registry
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.pull import dump

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.capture.registry import Publication


class Command(RefusingCommand):
    """Dumps a model."""

    help = (
        "Writes all rows of a published model, as readers get them, with the cursor of the changes that follow. "
        "The file has compressed lines of JSON, for pubsubpull_load."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="The label of a published model.")
        parser.add_argument("--to", metavar="FILE", help="The file to write; by default the standard output.")
        parser.add_argument("--resume", action="store_true", help="Complete FILE after an interruption.")

    def handle(self, *, model: str, to: str | None, resume: bool, **_: Any) -> None:
        publication = registry.get(model.lower())
        if publication is None:
            raise CommandError(f"{model} is not published. Published are: {', '.join(registry.all_publications())}.")
        if resume and to is None:
            raise CommandError("--resume needs --to FILE.")
        using = conf.get().DATABASE
        try:
            if to is None:
                count = dump.dump(publication, sys.stdout.buffer, using=using)
            elif resume and pathlib.Path(to).exists():
                # For reading, too: the file itself tells how far the interrupted dump came.
                with pathlib.Path(to).open("r+b") as file:
                    count = dump.resume(publication, file, using=using)
            else:
                count = _new(publication, pathlib.Path(to), using)
        except FileExistsError as error:
            raise CommandError(f"{to} exists: name another file, or go on with it by --resume.") from error
        except OSError as error:
            raise CommandError(str(error)) from error
        # Not to the standard output, which may be the file.
        self.stderr.write(f"{count:,} rows of {publication.label}.")


def _new(publication: Publication, path: pathlib.Path, using: str) -> int:
    # Exclusive: an earlier dump is not overwritten by mistake.
    with path.open("xb") as file:
        try:
            return dump.dump(publication, file, using=using)
        finally:
            # It failed before its first byte: there is nothing to resume.
            if not file.tell():
                path.unlink()
