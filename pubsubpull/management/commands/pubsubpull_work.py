"""`manage.py pubsubpull_work`: calls the handlers of this service's own log, and follows all services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.capture import sql
from pubsubpull.management import command_errors, following
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.replica import cohorts, positions
from pubsubpull.replica.follower import Follower
from pubsubpull.replica.handlers.declare import LOCAL
from pubsubpull.replica.handlers.loop import Loop

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Works until it is told to stop."""

    help = (
        "Calls the handlers of this service's own events and changes, and follows the services that replicas and "
        "handlers are declared for, until SIGTERM or SIGINT. It may be killed at any moment, and run more than once "
        "at a time, on any machines: each event is handled once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Handle what there is now, and end.")
        parser.add_argument(
            "--threads", type=int, default=1, help="How many local handlers may run at once in this process."
        )
        parser.add_argument("--workers", type=int, default=2, help="How many copy rows of replicas at once.")

    def handle(self, *, once: bool, threads: int, workers: int, **_: Any) -> None:
        if threads < 1 or workers < 1:
            raise CommandError("--threads and --workers are 1 or more.")
        using = conf.get().DATABASE
        command_errors.require_log(using)
        local, services = cohorts.of_service(LOCAL), cohorts.services()
        if not local and not services:
            raise CommandError("There is nothing to do. Declare handlers with @pubsubpull.on_event(…).")
        # Before the threads: with many connections open, a file may not be opened any more.
        sql.preload()
        followers = [Follower(name, using=using, workers=workers) for name in services]
        if once:
            self._once(followers, using)
            return
        self.stdout.write("Works until SIGTERM or Ctrl-C:")
        for effect in local:
            self.stdout.write(f"  {effect.name} for {effect.source}")
        for name in services:
            follows = ", ".join(effect.name for effect in cohorts.of_service(name))
            self.stdout.write(f"  {follows} by following {name}")
        # Into a pipe, Python would keep the lines until the command ends.
        self.stdout.flush()
        # Without local handlers, a loop would query the log for nothing.
        loops = [Loop(using=using) for _ in range(threads if local else 0)]
        following.always([*followers, *loops], patience=conf.get().DRAIN)

    def _once(self, followers: list[Follower], using: str) -> None:
        """Follow first: what comes from other services may lead to changes that local handlers take."""
        failed = following.once(followers, using)
        positions.hurry(LOCAL, using)
        failed += map(str, Loop(using=using).run_once())
        following.refuse_failures(failed)
        following.report(self, [*(follower.service for follower in followers), LOCAL], using)
