"""`manage.py pubsubpull_follow`: keeps the replicas up."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf, exceptions
from pubsubpull.capture import sql
from pubsubpull.management import command_errors, following
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.replica import cohorts, declaration, follower, positions
from pubsubpull.replica import services as known
from pubsubpull.replica.push import receive

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterator

    from pubsubpull.replica.copy.ranges import Progress


SPARE = 10.0
"""For how many seconds pushes may bring nothing before it is looked whether they leave something."""


class Command(RefusingCommand):
    """Follows services until it is told to stop."""

    help = (
        "Copies all rows of the replicas' sources, then follows their changes, until SIGTERM or SIGINT. "
        "The command may be killed at any moment, and may run several times at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("services", nargs="*", help="The services to follow; by default all with replicas.")
        parser.add_argument(
            "--push",
            metavar="URL",
            help="Have the services push to this URL, where pubsubpull.replica.urls is mounted, and pull the rest.",
        )
        parser.add_argument(
            "--refresh", metavar="MODEL", action="append", default=[], help="Copy all rows of this replica again."
        )
        parser.add_argument("--once", action="store_true", help="Follow up to the present, and end.")
        parser.add_argument("--workers", type=int, default=2, help="The ranges of rows copied at once; by default 2.")

    def handle(
        self, *, services: list[str], once: bool, workers: int, push: str | None, refresh: list[str], **_: Any
    ) -> None:
        names = services or cohorts.services()
        if not names:
            raise CommandError("There are no replicas. Declare one with @pubsubpull.replicates(…).")
        if workers < 1:
            raise CommandError("--workers is 1 or more.")
        using = conf.get().DATABASE
        command_errors.require_log(using)
        _refresh(refresh, using)
        # Before the threads: with many connections open, a file may not be opened any more.
        sql.preload()
        with _bars(names) as bars:
            followers = [
                follower.Follower(
                    name,
                    using=using,
                    workers=workers,
                    spare=SPARE if push else 0.0,
                    progress=bars[name],
                    ready=_pushing(name, push, using) if push else None,
                )
                for name in names
            ]
            if once:
                following.refuse_failures(following.once(followers, using))
                following.report(self, names, using)
                return
            self.stdout.write(f"Following {', '.join(names)}, until SIGTERM or Ctrl-C.")
            # Into a pipe, Python would keep the line until the command ends.
            self.stdout.flush()
            following.always(followers)


def _refresh(names: list[str], using: str) -> None:
    for name in names:
        replica = declaration.get(name)
        if replica is None:
            raise exceptions.ReplicaError(f"{name} is no replica; there are: {', '.join(declaration.all_replicas())}.")
        positions.copy_again([replica], using)


def _pushing(name: str, push: str, using: str) -> Callable[[], object]:
    """Return a function that subscribes to a service once its replicas have rows."""
    callback = f"{push.rstrip('/')}/{name}/"
    # Not at once: the subscription begins at the cursor of the copied rows.
    return lambda: receive.subscribe(known.get(name), callback, using=using)


@contextlib.contextmanager
def _bars(names: list[str]) -> Iterator[dict[str, Callable[[Progress], None]]]:
    """Yield a function for each service that shows its progress, on a terminal and if rich is installed."""
    # rich is an extra.
    try:
        import rich.progress
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    except ImportError:
        yield {name: lambda _: None for name in names}
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with rich.progress.Progress(*columns, transient=True, disable=not sys.stderr.isatty()) as shown:
        tasks = {name: shown.add_task(name, total=None, visible=False) for name in names}

        def bar(name: str) -> Callable[[Progress], None]:
            def show(now: Progress) -> None:
                text = f"{name}: applying" if now.applying else f"{name}: copying"
                done, total = now.rows, max(now.rows, now.expected)
                shown.update(tasks[name], description=text, completed=done, total=total, visible=True)

            return show

        yield {name: bar(name) for name in names}
