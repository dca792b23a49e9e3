"""`manage.py pubsubpull_rename`: carries history and subscriptions over from a label that is published no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate import labels

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Lists labels that no published model has, or carries one over; without `--yes` it only counts."""

    help = (
        "Carries the changes, grants, subscriptions and dead letters of a renamed model, or of a model of a renamed "
        "app, over to its new label. Without --yes they are only counted. Without labels, the command lists the labels "
        "that no published model has. Versions and cursors stay the same. "
        'To keep the old label in use instead, publish the model with it: publish(Model, label="shop.order").'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("old", nargs="?", help="The old label, as shop.order.")
        parser.add_argument("new", nargs="?", help="The label that the model is published under now.")
        parser.add_argument("--yes", action="store_true", help="Do it.")

    def handle(self, *, old: str | None, new: str | None, yes: bool, **_: Any) -> None:
        using = conf.get().DATABASE
        if old is None:
            self._show(using)
            return
        if new is None:
            raise CommandError("Name the label that the model is published under now, too.")
        carried = labels.carry_over(old.lower(), new.lower(), using=using, dry_run=not yes)
        said = (
            f"{carried.changes:,} changes, the grants of {carried.consumers} consumers, {carried.subscriptions} "
            f"subscriptions and {carried.failures} dead letters"
        )
        if not yes:
            self.stdout.write(f"{said} would be carried over from {old} to {new}. Do it with --yes.")
            return
        self.stdout.write(self.style.SUCCESS(f"{said} are carried over from {old} to {new}."))
        self.stdout.write(
            f"Replicas elsewhere that follow {old} are to name {new} in replicates(…): they are copied again then, and "
            "their handlers miss nothing."
        )

    def _show(self, using: str) -> None:
        unknown = labels.unknown(using)
        for each in unknown:
            self.stdout.write(f"{each.label}: {each.where}")
        if not unknown:
            self.stdout.write("Each label in grants, subscriptions and the log is a published model's.")
