"""Create a user of the shop's API."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example.shop import tokens


class Command(BaseCommand):
    help = "Create users who may call the shop's API, and print a token for each, one a line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="+")

    def handle(self, *, name: list[str], **_options: Any) -> None:
        for each in name:
            self.stdout.write(tokens.issue(each))
