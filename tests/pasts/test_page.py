"""docs/coming-from.md: its commands work as they are written there."""

from __future__ import annotations

import io
import re
import shlex

import pytest
from django.core.management import call_command

import pubsubpull
from tests.pasts.conftest import uncaptured
from tests.pasts.models import Kept, Logged, Tracked
from tests.processes import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


def commands():
    """Return the commands of the page, in its order."""
    text = (ROOT / "docs" / "coming-from.md").read_text()
    lines = [line.strip() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line)[2:] for line in lines if line]


def test_the_commands_of_the_page_bring_each_past_into_the_log():
    with uncaptured(Kept, Logged, Tracked):
        for model in (Kept, Logged, Tracked):
            model.objects.create(name=model.__name__)
    done = commands()
    assert len(done) == 8
    for command, *arguments in done:
        call_command(command, *arguments, stdout=io.StringIO())
    assert sorted(entry.new["name"] for entry in pubsubpull.history()) == ["Kept", "Logged", "Tracked"]
