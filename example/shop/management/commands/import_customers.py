"""Create many customers at once, as an import would."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from example.shop.models import Customer

CITIES = ("Aarhus", "Bergen", "Cádiz", "Dresden", "Évora")


class Command(BaseCommand):
    help = "Create customers with bulk_create, and print how many, and the seconds that it took."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("count", type=int)

    def handle(self, *, count: int, **_options: Any) -> None:
        began = time.monotonic()
        made = Customer.objects.bulk_create(
            (
                Customer(name=f"Import {n}", email=f"import{n}@example.org", city=CITIES[n % len(CITIES)])
                for n in range(count)
            ),
            batch_size=1000,
        )
        self.stdout.write(f"{len(made)} {time.monotonic() - began:.3f}")
