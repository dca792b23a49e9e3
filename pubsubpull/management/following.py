"""What the commands share that follow services or call handlers: one run up to now, or threads until a signal."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Protocol

from django.core.management.base import CommandError

from pubsubpull import exceptions
from pubsubpull.replica import health, positions, services

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from django.core.management.base import BaseCommand

    from pubsubpull.replica.follower import Follower


class Runner(Protocol):
    """What runs in a thread until it is told to stop."""

    stopping: threading.Event
    """Set, it lets `run` end."""

    def run(self) -> None:
        """Run until told to stop."""


def always(runners: Sequence[Runner], *, patience: float = 1.0) -> None:
    """Run each in a thread until SIGTERM or SIGINT. Then each has `patience` seconds to finish what it applies."""
    stop = threading.Event()
    # Before the threads: a signal while they start must stop them as well.
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    # Daemons: a thread that does not end within `patience` must not keep the process alive.
    threads = [threading.Thread(target=runner.run, daemon=True) for runner in runners]
    try:
        for thread in threads:
            thread.start()
        stop.wait()
        # All are told before the first is waited for, so that they finish side by side.
        for runner in runners:
            runner.stopping.set()
        end = time.monotonic() + patience
        for thread in threads:
            # A transaction that is not done by then is rolled back with the process, and handled by the next one.
            thread.join(max(0.0, end - time.monotonic()))
    finally:
        # Restored for callers of `call_command`, whose process goes on.
        for number, handler in before.items():
            signal.signal(number, handler)


def once(followers: Iterable[Follower], using: str) -> list[str]:
    """Follow all services up to now, also replicas that wait after a failure; return the failures as texts."""
    # Collected and not raised: a service that fails must not keep the others from being followed.
    failed: list[str] = []
    for follower in followers:
        try:
            positions.hurry(follower.service, using)
            follower.run_once()
        except exceptions.ServiceError as error:
            failed.append(services.told(follower.service, error))
        except exceptions.ReplicaFailed as error:
            failed.append(str(error))
    return failed


def refuse_failures(failed: Sequence[str]) -> None:
    """Raise `CommandError` if there are failures."""
    if failed:
        raise CommandError("Not up to date:\n" + "\n".join(failed))


def report(command: BaseCommand, names: Collection[str], using: str) -> None:
    """Print where the replicas and handlers of services are; raise if one lacks what was there when the run began."""
    for name, columns in health.unsent(names, using).items():
        command.stderr.write(
            f"{name}: its source does not send {', '.join(columns)}; rows get the default. "
            "In `fields`, None says that a field is yours."
        )
    aside = health.parked(names, using)
    # Parked changes are no failure: an operator has decided that the replica goes on without them.
    left = {name: why for name, why in health.waiting(names, using).items() if name not in aside}
    refuse_failures([f"{name}: {why}" for name, why in left.items()])
    if aside:
        told = ", ".join(f"{count} of {name}" for name, count in aside.items())
        command.stdout.write(command.style.WARNING(f"Up to date, except for parked changes: {told}."))
        return
    command.stdout.write(command.style.SUCCESS("Up to date."))
