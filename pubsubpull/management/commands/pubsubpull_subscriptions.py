"""`manage.py pubsubpull_subscriptions`: the state of subscriptions, and operators' actions on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import exceptions
from pubsubpull.base import times
from pubsubpull.capture import registry
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate import actions
from pubsubpull.subscriptions.models import Subscription

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from pubsubpull.operate.actions import Standing

ACTION_HELP = {
    "pause": "Pause a subscription until it is resumed.",
    "resume": "Resume a paused subscription.",
    "enable": "Enable a disabled or unsubscribed subscription, at its old cursor.",
    "retry": "Try a failing subscription at once.",
}


class Command(RefusingCommand):
    """Lists, pauses, resumes, enables, retries and rewinds subscriptions, and shows their dead letters."""

    help = (
        "Lists subscriptions with their state, lag and last error. Pauses, resumes, enables, retries or rewinds a "
        "subscription. Lists, sends again or drops its dead letters: the changes that its receiver refuses. A "
        "subscription is named consumer/name."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        list_ = actions.add_parser("list", help="List the subscriptions and their state.")
        list_.add_argument("--state", choices=Subscription.State.values, help="Only subscriptions of this state.")
        list_.add_argument("--json", action="store_true", help="Print JSON, a subscription a line.")
        for name, text in ACTION_HELP.items():
            actions.add_parser(name, help=text).add_argument("name")
        rewind = actions.add_parser("rewind", help="Go on from another cursor.")
        rewind.add_argument("name")
        rewind.add_argument("--to", required=True, help="A cursor, now, start, or a time with its zone.")
        actions.add_parser("failures", help="List the dead letters.").add_argument("name")
        for name, text in (
            ("retry-failures", "Send dead letters again."),
            ("drop-failures", "Drop dead letters: they are never sent."),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("name")
            # Required, so that a forgotten --id is not taken for all.
            which = action.add_mutually_exclusive_group(required=True)
            which.add_argument("--id", type=int, help="Only the dead letter with this id.")
            which.add_argument("--all", action="store_true", help="All dead letters.")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            if action in ACTION_HELP:
                # argparse has refused all other actions.
                changed = getattr(actions, action)(actions.find(options["name"]))
                self.stdout.write(self.style.SUCCESS(f"{options['name']} is {changed.state}."))
            else:
                getattr(self, "show" if action == "list" else action.replace("-", "_"))(**options)
        except exceptions.SubscriptionError as error:
            raise CommandError(f"{error.field}: {error.reason}") from error
        except exceptions.PubSubPullError as error:
            raise CommandError(str(error)) from error

    def show(self, *, state: str | None, json: bool, **_: Any) -> None:
        """List the subscriptions."""
        standings = list(actions.everyone(state=state))
        for standing in standings:
            self.stdout.write(_as_json(standing) if json else _line(standing))
        if not standings and not json:
            self.stdout.write(f"No subscription is {state}." if state else "There are no subscriptions.")

    def rewind(self, *, name: str, to: str, **_: Any) -> None:
        """Move a subscription's cursor."""
        subscription = actions.find(name)
        try:
            actions.rewind(subscription, to)
        except exceptions.SubscriptionError as error:
            raise CommandError(f"--to: {error.reason}") from error
        self.stdout.write(self.style.SUCCESS(f"{name} goes on from there."))

    def failures(self, *, name: str, **_: Any) -> None:
        """List the dead letters."""
        for failure in actions.failures(actions.find(name)):
            again = ", to be tried again" if failure.retrying else ""
            self.stdout.write(
                f"{failure.pk}: {failure.op} {failure.model}, version {failure.version}, "
                f"tried {failure.attempts} times{again}. {failure.error}"
            )

    def retry_failures(self, *, name: str, id: int | None, **_: Any) -> None:  # noqa: A002  the option's name
        """Have dead letters sent again by the worker."""
        # Marked, not sent from here: only the holder of the lease sends.
        count = self._some(actions.failures(actions.find(name), id).update(retrying=True))
        self.stdout.write(self.style.SUCCESS(f"{count} changes are sent again."))

    def drop_failures(self, *, name: str, id: int | None, **_: Any) -> None:  # noqa: A002
        """Drop dead letters."""
        count = self._some(actions.failures(actions.find(name), id).delete()[0])
        self.stdout.write(self.style.SUCCESS(f"{count} changes are dropped."))

    def _some(self, count: int) -> int:
        if not count:
            raise CommandError("There is no such dead letter. `failures` lists them.")
        return count


def _line(standing: Standing) -> str:
    subscription = standing.subscription
    parts = [
        f"{standing.name}: {subscription.state}, {standing.lag.changes} changes and {standing.lag.seconds:.1f} s behind"
    ]
    if missing := _unpublished(standing):
        parts.append(f", {', '.join(missing)} not published")
    if standing.failures:
        parts.append(f", {standing.failures} dead letters")
    if subscription.next_attempt:
        parts.append(f", next attempt {times.text(subscription.next_attempt)}")
    if subscription.last_error:
        parts.append(f". {subscription.last_error}")
    return "".join(parts)


def _unpublished(standing: Standing) -> list[str]:
    return [label for label in standing.subscription.labels if registry.get(label) is None]


def _as_json(standing: Standing) -> str:
    subscription = standing.subscription
    return json.dumps(
        {
            "name": standing.name,
            "state": subscription.state,
            "callback": subscription.callback,
            "lag": {"changes": standing.lag.changes, "seconds": round(standing.lag.seconds, 3)},
            "unpublished": _unpublished(standing),
            "failures": standing.failures,
            "attempts": subscription.attempts,
            "failing_since": times.text(subscription.failing_since),
            "next_attempt": times.text(subscription.next_attempt),
            "last_error": subscription.last_error or None,
        }
    )
