"""`manage.py pubsubpull_secrets`: the encryption of stored secrets, and the service's own signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull import conf
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate import key_rotation

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Counts secrets, encrypts them again, and makes a new key."""

    help = (
        "Counts the stored secrets, and names those that can no longer be read. --reseal encrypts all again with the "
        "first of SECRET_KEYS (or with SECRET_KEY); the older keys may be removed afterwards. --new-key makes a key "
        "pair for signatures v1a; the key before it also signs for --overlap seconds. Secrets are never shown."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--reseal", action="store_true", help="Encrypt every secret again, with the first key.")
        what.add_argument("--new-key", action="store_true", help="Make a new key pair for signatures v1a.")
        parser.add_argument(
            "--overlap", type=float, default=None, help="Seconds that the old key also signs; default SECRET_OVERLAP."
        )

    def handle(self, *, reseal: bool, new_key: bool, overlap: float | None, **_: Any) -> None:
        using = conf.get().DATABASE
        if overlap is not None and overlap < 0:
            raise CommandError("--overlap must be 0 or more.")
        if new_key:
            public = key_rotation.new_key(using, overlap=conf.get().SECRET_OVERLAP if overlap is None else overlap)
            self.stdout.write(self.style.SUCCESS(f"Signatures v1a are made with a new key: {public}"))
            return
        count = key_rotation.reseal(using) if reseal else key_rotation.count(using)
        self.stdout.write(f"{count.readable} secrets {'are encrypted again' if reseal else 'can be read'}.")
        # Named and not raised at the first: the other secrets are encrypted again in any case.
        for name in count.unreadable:
            self.stderr.write(f"{name} cannot be read: its key is in none of the settings.")
        if count.unreadable:
            raise CommandError("Put the key back into SECRET_KEYS or SECRET_KEY_FALLBACKS, or give new secrets.")
