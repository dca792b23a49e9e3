"""`manage.py pubsubpull_deliver`: the delivery worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from pubsubpull import conf, exceptions
from pubsubpull.subscribe import worker

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Runs a worker until it is told to stop."""

    help = (
        "Delivers changes to subscriptions, until SIGTERM or SIGINT. Run as many as you like, on as many machines: "
        "they share the subscriptions among them, and each takes over from one that dies."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Deliver what there is now, and end.")
        parser.add_argument("--name", help="How the worker is called in the database; else host and process id.")

    def handle(self, *, once: bool, name: str | None, **_: Any) -> None:
        try:
            delivered = worker.run(worker.Worker(settings=conf.get(), name=name), once=once)
        except (exceptions.PubSubPullError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS(f"{delivered} changes delivered."))
