"""The service's own Ed25519 key pairs, for receivers that need only the public half to verify."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.db import models, transaction

from pubsubpull.capture import clock
from pubsubpull.subscriptions import vault
from pubsubpull.subscriptions.models import SigningKey
from pubsubpull.transports.base import Key
from pubsubpull.wire.signing import PRIVATE_PREFIX, PUBLIC_PREFIX

if TYPE_CHECKING:
    from django.db.models import QuerySet

FIRST_KEY = 1
"""The id of the first key. It is fixed, so that two processes that create the key at once create one."""


def current(using: str) -> list[Key]:
    """Return the private keys that sign now, the newest first. The first call creates the first key."""
    return [Key(text=vault.open_(key.sealed), until=_seconds(key.until)) for key in _keys(using)]


def published(using: str) -> dict[str, Any]:
    """Return the public keys as a JSON Web Key Set (RFC 7517 and 8037), each also as `whpk_` and base64."""
    return {"keys": [_described(key) for key in _keys(using)]}


def add(using: str, *, overlap: float) -> SigningKey:
    """Create a new key. The keys before it also sign for `overlap` seconds more."""
    with transaction.atomic(using=using):
        # Locked: two rotations at once would give their keys the same id, and one key would be lost.
        newest = SigningKey.objects.using(using).select_for_update().order_by("-id").first()
        end = clock.moment(using) + dt.timedelta(seconds=overlap)
        # Only keys without an end: the end of an earlier rotation must not move.
        SigningKey.objects.using(using).filter(until=None).update(until=end)
        return _create(using, newest.pk + 1 if newest else FIRST_KEY)


def _keys(using: str) -> list[SigningKey]:
    return list(_signing(using)) or [_create(using, FIRST_KEY)]


def _signing(using: str) -> QuerySet[SigningKey]:
    # By the database's clock: the clocks of several machines may disagree about a key's end.
    still = models.Q(until=None) | models.Q(until__gt=clock.moment(using))
    return SigningKey.objects.using(using).filter(still).order_by("-id")


def _create(using: str, id_: int) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # Of two processes at once, both get the key of the first.
    key, _ = SigningKey.objects.using(using).get_or_create(
        id=id_,
        defaults={"sealed": vault.seal(PRIVATE_PREFIX + _base64(seed)), "public": PUBLIC_PREFIX + _base64(public)},
    )
    return key


def _described(key: SigningKey) -> dict[str, Any]:
    # From the stored public half: this needs no settings that can decrypt the private one.
    raw = binascii.a2b_base64(key.public.removeprefix(PUBLIC_PREFIX))
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": str(key.pk),
        # RFC 7515 wants base64url without padding.
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "whpk": key.public,
    }


def _seconds(moment: dt.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
