"""`manage.py pubsubpull_replicas`: the state of replicas, and changes that a replica cannot take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.management import command_errors
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.replica import health, services
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.parking import actions, store
from pubsubpull.wire import jsontext

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Lists replicas; parks changes; lists, retries and drops parked changes."""

    help = (
        "Lists the replicas with the reasons why they wait. `park` keeps a change that a replica cannot take, because "
        "of its handler or a constraint, by itself, with all later changes of the same key, so that the replica goes "
        "on. `parked` lists parked changes, `retry` applies them, and `drop` skips them for good."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="List the replicas and their state.")
        park = actions.add_parser("park", help="Park the change that a replica cannot take now.")
        park.add_argument("name", help="The replica, as billing.order.")
        for name, text in (
            ("parked", "List the parked changes of a replica."),
            ("retry", "Apply parked changes, those of each key in order."),
            ("drop", "Drop parked changes: they are never applied."),
        ):
            action = actions.add_parser(name, help=text)
            action.add_argument("name", help="The replica, as billing.order.")
            # Required, so that a forgotten --key is not taken for all.
            which = action.add_mutually_exclusive_group(required=name != "parked")
            which.add_argument("--key", help="Only of this key.")
            if name != "parked":
                which.add_argument("--all", action="store_true", help="Of all keys.")
            if name == "drop":
                action.add_argument("--dry-run", action="store_true", help="Only say what would be dropped.")

    def handle(self, *, action: str, name: str = "", key: str | None = None, **options: Any) -> None:
        using = conf.get().DATABASE
        command_errors.require_log(using)
        if action == "list":
            self._list(using)
        elif action == "park":
            self._park(name, using)
        elif action == "retry":
            self._retry(name, key, using)
        elif action == "drop" and not options.get("dry_run"):
            count = actions.drop(name, key=key, using=using)
            self.stdout.write(self.style.SUCCESS(f"{count} changes dropped."))
        else:
            self._parked(name, key, using)

    def _list(self, using: str) -> None:
        for one, reason in health.checks(using).items():
            self.stdout.write(f"{one.removeprefix('replica ')}: {reason}")

    def _park(self, name: str, using: str) -> None:
        state = ReplicaState.objects.using(using).filter(name=name).first()
        if state is None:
            raise CommandError(f"{name} is not followed. See: manage.py pubsubpull_replicas list")
        # Handlers of the own log have no service to read the change from.
        if state.service:
            with services.get(state.service).client() as client:
                change = actions.park(name, client, using=using)
        else:
            change = actions.park(name, None, using=using)
        if change is None:
            self.stdout.write(f"{name} can take the next change: no change is parked.")
        else:
            self.stdout.write(f"Version {change.version} of {change.key} is parked: {change.error}")

    def _parked(self, name: str, key: str | None, using: str) -> None:
        parked = store.of(name, using)
        for change in parked if key is None else parked.filter(key=key):
            why = change.error or "it follows a parked change of its key"
            self.stdout.write(
                f"{change.key}: version {change.version}, {change.item['op']}, "
                f"since {change.since:%Y-%m-%d %H:%M:%S}: {why}"
            )
            self.stdout.write(f"  {jsontext.dumps(change.item['new'] or change.item['old'])}")

    def _retry(self, name: str, key: str | None, using: str) -> None:
        before = store.of(name, using).count()
        failed = actions.retry(name, key=key, using=using)
        self.stdout.write(f"{before - store.of(name, using).count()} changes applied.")
        if failed:
            raise CommandError("\n".join(f"{one.key}: version {one.version}: {one.error}" for one in failed))
