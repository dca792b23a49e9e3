"""Rotation of keys: those that encrypt stored secrets, and those that sign."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from django.db import models, transaction

from pubsubpull import exceptions
from pubsubpull.subscriptions import signing_keys, vault
from pubsubpull.subscriptions.models import SigningKey, Subscription
from pubsubpull.wire import signing

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count:
    """The result of reading all secrets."""

    readable: int
    """The number of secrets that could be read."""
    unreadable: list[str]
    """The names of the others."""


def count(using: str) -> Count:
    """Return the count of all secrets, and change nothing."""
    return _each(using, vault.unchanged)


def reseal(using: str) -> Count:
    """Encrypt every secret again with the first key. Secrets that cannot be read stay as they are."""
    return _each(using, vault.resealed)


def new_key(using: str, *, overlap: float) -> str:
    """Make a new key pair that workers sign with from now on; return its public key.

    For `overlap` seconds, notifications are signed with the old key too.
    """
    with transaction.atomic(using=using):
        key = signing_keys.add(using, overlap=overlap)
        signed = Subscription.objects.using(using).filter(signature=signing.ED25519_VERSION)
        # The worker that holds a subscription lets go of it, and claims it again with the new key.
        # In the transaction of the new key: no worker signs with the old one after it was said to be replaced.
        signed.update(worker=None, lease=models.F("lease") + 1)
    return key.public


def _each(using: str, change: Callable[[str], str]) -> Count:
    readable, unreadable = 0, []
    # One transaction: a crash leaves all secrets under the old key, not some under each.
    with transaction.atomic(using=using):
        for subscription in (
            Subscription.objects.using(using).select_related("consumer").select_for_update(of=("self",))
        ):
            try:
                subscription.secrets = [
                    {**secret, "sealed": change(secret["sealed"])} for secret in subscription.secrets
                ]
            # Swallowed and counted: a lost key of one subscription must not keep the others from a new one.
            except exceptions.SecretError:
                unreadable.append(f"The secret of {subscription.consumer.name}/{subscription.name}")
                continue
            subscription.save(update_fields=["secrets"])
            readable += len(subscription.secrets)
        # Locked, as the subscriptions: a rotation meanwhile would be overwritten by the old text.
        for key in SigningKey.objects.using(using).select_for_update():
            try:
                key.sealed = change(key.sealed)
            except exceptions.SecretError:
                unreadable.append(f"The service's key {key.pk}")
                continue
            key.save(update_fields=["sealed"])
            readable += 1
    return Count(readable=readable, unreadable=unreadable)
