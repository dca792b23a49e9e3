"""`manage.py pubsubpull_events`: the events of this service, its catalogue, and a check for breaking changes."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from pubsubpull.events import declare
from pubsubpull.management.command_errors import RefusingCommand
from pubsubpull.operate import catalogue
from pubsubpull.pull import consumers
from pubsubpull.replica.handlers import declare as handlers

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(RefusingCommand):
    """Lists events, prints the catalogue, or compares it with an earlier one."""

    help = (
        "Lists the events that this service emits, with their keys, versions and fields, and what its handlers react "
        "to. --asyncapi prints all that it publishes and reacts to as an AsyncAPI 3.0 document. --check compares an "
        "earlier such document with the code, and fails where a label or a field that others may read is gone or has "
        "another type."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--asyncapi", action="store_true", help="Print the AsyncAPI document.")
        way.add_argument("--check", metavar="FILE", help="Compare with a document that --asyncapi printed earlier.")

    def handle(self, *, asyncapi: bool, check: str | None, **_: Any) -> None:
        if asyncapi:
            self.stdout.write(json.dumps(_document(), indent=2))
        elif check is not None:
            self._check(check)
        else:
            self._list()

    def _check(self, file: str) -> None:
        try:
            before = json.loads(pathlib.Path(file).read_text("utf-8"))
            broken = catalogue.breaks(before, _document())
        # ValueError: the file is no JSON, or no catalogue.
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: {error}") from error
        if broken:
            raise CommandError("Readers of the earlier document would break:\n" + "\n".join(broken))
        self.stdout.write(self.style.SUCCESS("No label and no field is gone or has another type."))

    def _list(self) -> None:
        kinds = declare.all_kinds()
        if not kinds:
            self.stdout.write("No event is declared: see @pubsubpull.event.")
        for label, kind in kinds.items():
            version = f", version {kind.version}" if kind.version > 1 else ""
            subject = f", about {kind.subject}" if kind.subject else ""
            self.stdout.write(f"{label}: key {', '.join(kind.fields)}{version}{subject}")
            # As readers get the fields: pydantic may accept further types and writes one of them.
            for name, part in kind.adapter.json_schema(mode="serialization").get("properties", {}).items():
                self.stdout.write(f"  {name}: {_type(part)}")
        for handler in handlers.all_handlers():
            service = handlers.service_of(handler)
            self.stdout.write(f"{handler.name} reacts to {handler.source}" + (f" of {service}" if service else ""))


def _document() -> dict[str, Any]:
    return catalogue.document(consumers.known_labels(), handlers=handlers.all_handlers())


def _type(schema: dict[str, Any]) -> str:
    """Return a JSON Schema's type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return str(schema.get("format") or schema.get("type") or schema.get("const", "any"))
