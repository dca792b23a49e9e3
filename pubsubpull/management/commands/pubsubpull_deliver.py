"""`manage.py pubsubpull_deliver`: the delivery worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pubsubpull import conf
from pubsubpull.delivery import worker
from pubsubpull.management import command_errors
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate.maintenance_loop import Upkeep
from pubsubpull.operate.samples import Sampler

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.base import loops


class Command(RefusingCommand):
    """Runs a worker until it is told to stop."""

    help = (
        "Delivers changes to subscriptions, until SIGTERM or SIGINT. Run any number of workers, on any number of "
        "machines: they share the subscriptions, and take over those of a worker that dies."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Deliver the present changes, and end.")
        parser.add_argument("--name", help="The worker's name in the database; by default host and process id.")

    def handle(self, *, once: bool, name: str | None, **_: Any) -> None:
        settings = conf.get()
        command_errors.require_log(settings.DATABASE)
        running = worker.Worker(settings=settings, name=name, beside=_operations(settings))
        if not once:
            self.stdout.write(f"{running.name} delivers, until SIGTERM or Ctrl-C.")
            # Into a pipe, Python would keep the line until the worker ends.
            self.stdout.flush()
        delivered = worker.run(running, once=once)
        self.stdout.write(self.style.SUCCESS(f"{delivered} changes delivered."))


def _operations(settings: conf.Settings) -> tuple[loops.Service, ...]:
    """Return the services that a worker runs for operators beside delivery."""
    # Here, so that a service with a worker needs no cron, and delivery itself imports nothing of operation.
    return Upkeep(settings=settings), Sampler(using=settings.DATABASE)
