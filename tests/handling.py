"""A worker with handlers of its own: `python -m tests.handling`. The environment says what the handlers do."""

from __future__ import annotations

import os
import signal

import django

django.setup()

from django.core.management import call_command  # noqa: E402  after the setup

import pubsubpull  # noqa: E402
from tests.replicas.models import Note  # noqa: E402
from tests.shop.events import OrderPlaced  # noqa: E402


@pubsubpull.on_event(OrderPlaced, name="noting", start="start")
def note(event):
    """Write a note; be killed before the commit where the environment names the event."""
    Note.objects.create(text=event.key)
    if event.key == os.environ.get("KILLED_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


@pubsubpull.on_event(OrderPlaced, name="slow", start="start")
def again(event):
    """Write another note."""
    Note.objects.create(text=f"again {event.key}")


if __name__ == "__main__":
    call_command("pubsubpull_work")
