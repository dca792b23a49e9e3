"""Begin to follow the shop."""

from __future__ import annotations

import itertools
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from example.billing import receive
from example.billing.models import Source
from pubsubpull import Client, exceptions
from pubsubpull.subscribe import signing

MODELS = ["shop.customer", "shop.order", "shop.item"]
AT_ONCE = 1000


class Command(BaseCommand):
    help = "Pull all of the shop's rows, then subscribe to the changes since. May be run again at any time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("callback", help="the URL of billing's /changes/, as the shop reaches it")
        parser.add_argument("--batch", type=int, default=1000, help="the most changes a notification may bring")

    def handle(self, *, callback: str, batch: int, **_options: Any) -> None:
        try:
            with Client(settings.SHOP["url"], settings.SHOP["token"]) as shop:
                count = follow(shop, callback, batch)
        except exceptions.PubSubPullError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(str(count))


def follow(shop: Client, callback: str, batch: int) -> int:
    """Begin to follow; how many rows there were already.

    First the cursor, then the rows, then the changes since the cursor: nothing can fall between.
    """
    cursor = shop.changes(MODELS, after="now").cursor
    secret = signing.new_secret()
    Source.objects.update_or_create(name=receive.SOURCE, defaults={"cursor": cursor, "secret": secret})
    count = 0
    for model in MODELS:
        rows = iter(shop.instances(model, limit=AT_ONCE))
        while page := list(itertools.islice(rows, AT_ONCE)):
            receive.load(model, page)
            count += len(page)
    shop.subscribe("billing", callback, MODELS, after=cursor, batch=batch, secret=secret)
    return count
