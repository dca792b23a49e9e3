"""`manage.py pubsubpull_load`: a dump's rows into replicas."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.replica.copy import load

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Loads a dump."""

    help = (
        "Loads a file of pubsubpull_dump into the replicas of its model, which then follow from the dump's cursor. "
        "The command may be killed and run again with the same file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="The file, or - for the standard input.")
        parser.add_argument("--service", help="The service, if several have a model of this name.")
        parser.add_argument("--again", action="store_true", help="Also into replicas that follow already.")

    def handle(self, *, file: str, service: str | None, again: bool, **_: Any) -> None:
        try:
            with contextlib.ExitStack() as stack:
                # Only a file that is opened here is closed: the standard input is not.
                source = sys.stdin.buffer if file == "-" else stack.enter_context(pathlib.Path(file).open("rb"))
                loaded = load.load(source, service=service, again=again, using=conf.get().DATABASE)
        except OSError as error:
            raise CommandError(str(error)) from error
        names = ", ".join(loaded.replicas)
        self.stdout.write(self.style.SUCCESS(f"{loaded.rows:,} rows of {loaded.model} are in {names}."))
