"""`manage.py pubsubpull_consumer`: the consumers of the API and their grants."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import IntegrityError

from pubsubpull import exceptions
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.pull import consumers

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.pull.models import Consumer


def _name(text: str) -> str:
    """Return a consumer's name; its subscriptions are called `name/subscription`, on command lines too."""
    if not text or not text.isprintable() or "/" in text or " " in text:
        raise ArgumentTypeError("a consumer's name has no spaces and no slashes")
    return text


class Command(RefusingCommand):
    """Adds, lists, renews and removes."""

    help = (
        "Adds a consumer of the HTTP API and prints its token, once: only a hash is stored. "
        "Also lists consumers, changes their grants, gives a consumer a new token, and removes a consumer with its "
        "subscriptions."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="Add a consumer, and print its token.")
        add.add_argument("name", type=_name, help="The consumer's name, here and in the list of subscriptions.")
        add.add_argument("--models", default="", help="Models that it may read: labels with commas, or * for all.")
        add.add_argument("--audit", action="store_true", help="Allow to read histories, with users and requests.")
        add.add_argument("--subscribe", action="store_true", help="Allow to subscribe.")
        add.add_argument("--monitor", action="store_true", help="Allow to read the metrics.")
        actions.add_parser("list", help="List the consumers and their grants.")
        for name, text in (
            ("grant", "Add grants; the token and the subscriptions stay."),
            ("revoke", "Remove grants; the token and the subscriptions stay."),
        ):
            change = actions.add_parser(name, help=text)
            change.add_argument("name")
            change.add_argument("--models", default="", help="Labels with commas, or * for all.")
            for right in consumers.RIGHTS:
                change.add_argument(f"--{right}", action="store_true", help=f"The right that `add --{right}` gives.")
        for name, text in (
            ("rotate", "Print a new token; the old token is invalid at once."),
            ("remove", "Remove a consumer and its subscriptions."),
        ):
            actions.add_parser(name, help=text).add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        # argparse has refused all other actions.
        getattr(self, "show" if action == "list" else action)(**options)

    def add(self, *, name: str, models: str, audit: bool, subscribe: bool, monitor: bool, **_: Any) -> None:
        """Add a consumer, and print its token."""
        if not (models.strip(" ,") or monitor):
            raise CommandError("--models: name one at least, as shop.order, or * for all that is published.")
        try:
            consumer = consumers.add(
                name, models.split(","), may_audit=audit, may_subscribe=subscribe, may_monitor=monitor
            )
        except exceptions.PublicationError as error:
            raise CommandError(str(error)) from error
        # The constraint decides, and no query beforehand: another command may add the name in between.
        except IntegrityError as error:
            raise CommandError(
                f"There is a consumer {name} already. `grant` and `revoke` change what it may do, "
                "`rotate` gives it a new token."
            ) from error
        self.stdout.write(consumer[1])

    def show(self, **_: Any) -> None:
        """List the consumers."""
        for consumer in consumers.consumers():
            self.stdout.write(_line(consumer))
        if not consumers.consumers().exists():
            self.stdout.write("There are no consumers. `add` makes one.")

    def grant(self, *, name: str, models: str, **options: Any) -> None:
        """Add grants."""
        self._change(name, options, may=True, grant=_labels(models))

    def revoke(self, *, name: str, models: str, **options: Any) -> None:
        """Remove grants."""
        self._change(name, options, may=False, revoke=_labels(models))

    def _change(
        self,
        name: str,
        options: dict[str, Any],
        *,
        may: bool,
        grant: list[str] | None = None,
        revoke: list[str] | None = None,
    ) -> None:
        rights = {right: may for right in consumers.RIGHTS if options[right]}
        if not (grant or revoke or rights):
            raise CommandError("Name what to change: --models, --audit, --subscribe or --monitor.")
        changed = consumers.change(self._named(name), grant=grant or (), revoke=revoke or (), **rights)
        self.stdout.write(self.style.SUCCESS(_line(changed)))

    def rotate(self, *, name: str, **_: Any) -> None:
        """Give a consumer a new token."""
        self.stdout.write(consumers.rotate(self._named(name)))

    def remove(self, *, name: str, **_: Any) -> None:
        """Remove a consumer, and its subscriptions with it."""
        self._named(name).delete()
        self.stdout.write(self.style.SUCCESS(f"{name} is removed, with its subscriptions."))

    def _named(self, name: str) -> Consumer:
        consumer = consumers.consumers().filter(name=name).first()
        if consumer is None:
            raise CommandError(f"There is no consumer {name}. `list` shows all.")
        return consumer


def _labels(text: str) -> list[str]:
    return [label.strip() for label in text.split(",") if label.strip()]


def _line(consumer: Consumer) -> str:
    """Return a consumer's name, the models that it may read, and its rights."""
    # The wildcards as well: they are grants that no model is published under.
    known = {consumers.ALL_MODELS, consumers.EVENTS, *consumers.known_labels()}
    granted = [label if label in known else f"{label} (not published)" for label in consumer.granted]
    rights = [right for right in consumers.RIGHTS if getattr(consumer, f"may_{right}")]
    return f"{consumer.name}: {', '.join(granted) or 'no model'} {' '.join(rights)}".rstrip()
