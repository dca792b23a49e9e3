"""Begin to follow the shop."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from example.billing import receive
from example.billing.models import Source
from pubsubpull import Client
from pubsubpull.subscribe import signing

MODELS = ["shop.customer", "shop.order", "shop.item"]


class Command(BaseCommand):
    help = "Pull all of the shop's rows, then subscribe to the changes since. May be run again at any time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("callback", help="the URL of billing's /changes/, as the shop reaches it")
        parser.add_argument("--batch", type=int, default=1000, help="the most changes a notification may bring")

    def handle(self, *, callback: str, batch: int, **_options: Any) -> None:
        client = Client(settings.SHOP["url"], settings.SHOP["token"])
        secret = signing.new_secret()
        # First the cursor, then the rows, then what has changed since the cursor: nothing can fall between.
        cursor = client.changes(MODELS, "now").cursor
        Source.objects.update_or_create(name=receive.SOURCE, defaults={"cursor": cursor, "secret": secret})
        count = 0
        for model in MODELS:
            for page in _pages(client.instances(model)):
                receive.load(model, page)
                count += len(page)
        client.subscribe("billing", callback, MODELS, after=cursor, batch=batch, secret=secret)
        self.stdout.write(str(count))
