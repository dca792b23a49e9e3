"""`manage.py pubsubpull_deliver`: the delivery worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pubsubpull import conf
from pubsubpull.delivery import worker
from pubsubpull.management import command_errors
from pubsubpull.management.command_errors import RefusingCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Runs a worker until it is told to stop."""

    help = (
        "Delivers changes to subscriptions, until SIGTERM or SIGINT. Run as many as you like, on as many machines: "
        "they share the subscriptions among them, and each takes over from one that dies."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Deliver what there is now, and end.")
        parser.add_argument("--name", help="How the worker is called in the database; else host and process id.")

    def handle(self, *, once: bool, name: str | None, **_: Any) -> None:
        settings = conf.get()
        command_errors.require_log(settings.DATABASE)
        running = worker.Worker(settings=settings, name=name)
        if not once:
            self.stdout.write(f"{running.name} delivers, until SIGTERM or Ctrl-C.")
            self.stdout.flush()
        delivered = worker.run(running, once=once)
        self.stdout.write(self.style.SUCCESS(f"{delivered} changes delivered."))
