"""`manage.py pubsubpull_compare`: compares replicas with their sources, names the differences, and repairs them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf, exceptions
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.replica import declaration, services
from pubsubpull.replica.compare import judge
from pubsubpull.replica.parking import store
from pubsubpull.replica.tables import writing

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.replica.declaration import Replica


class Command(RefusingCommand):
    """Compares replicas with their source, prints the differences, and repairs them if told to."""

    help = (
        "Compares replicas with their sources, by hashes of key ranges, while both go on. Nothing is written without "
        "--repair. Ends with status 1 if rows differ and were not repaired, or could not be judged."
    )

    # Status 1 already means that rows differ.
    failed = 2

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="Labels of replicas; by default all.")
        parser.add_argument("--repair", action="store_true", help="Replace the rows that differ by the source's.")
        parser.add_argument("--show", type=int, default=20, help="The most rows that are named; by default 20.")

    def handle(self, *, models: list[str], repair: bool, show: int, **_: Any) -> None:
        names = models or list(declaration.all_replicas())
        if not names:
            raise CommandError("There are no replicas. Declare one with @pubsubpull.replicates(…).")
        if not models:
            names = list(filter(self._comparable, names))
        # A list, so that all are compared after the first that differs.
        well = [self._compare(judge.get(name), repair=repair, show=show) for name in names]
        if not all(well):
            sys.exit(1)

    def _comparable(self, name: str) -> bool:
        replica = judge.get(name)
        if replica.write is not None:
            self.stdout.write(f"{name}: not compared, as its rows are written by {writing.name(replica)}.")
        return replica.write is None

    def _compare(self, replica: Replica, *, repair: bool, show: int) -> bool:
        try:
            with services.get(replica.service).client() as client:
                result = judge.compare(replica, client, repair=repair, using=conf.get().DATABASE)
        except exceptions.ServiceError as error:
            raise CommandError(services.told(replica.service, error), returncode=self.failed) from error
        count = "" if result.rows is None else f"{result.rows:,} rows, "
        if not result.differences and not result.unsettled:
            self.stdout.write(self.style.SUCCESS(f"{replica.name}: {count}equal to {replica.source}{_but(result)}."))
            return True
        kinds = [difference.kind for difference in result.differences]
        told = ", ".join(f"{kinds.count(kind):,} {kind}" for kind in ("missing", "extra", "different"))
        self.stdout.write(f"{replica.name}: {count}{told}{', repaired' if result.repaired else ''}{_but(result)}.")
        for difference in result.differences[:show]:
            self.stdout.write(f"  {difference.kind:9}  {difference.key}")
        if len(result.differences) > show:
            self.stdout.write(f"  … and {len(result.differences) - show:,} more")
        if aside := store.of(replica.name, conf.get().DATABASE).count():
            self.stdout.write(f"  {aside:,} changes are parked: see pubsubpull_replicas parked {replica.name}")
        if result.unsettled:
            self.stdout.write(
                f"  {len(result.unsettled):,} rows have changes that the replica has not applied: is it being followed?"
            )
        return (result.repaired and not result.unsettled) or not (result.differences or result.unsettled)


def _but(result: judge.Result) -> str:
    return f", but for {', '.join(result.absent)}, which the source does not send" if result.absent else ""
