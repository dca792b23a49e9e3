"""The service's own key pairs, Ed25519, for receivers that must not hold a secret: they get the public half."""

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
from pubsubpull.wire.signing import PRIVATE, PUBLIC

if TYPE_CHECKING:
    from django.db.models import QuerySet

FIRST_KEY = 1
"""The id of the first key, so that two who make it at once make one."""


def current(using: str) -> list[Key]:
    """Return the private keys that sign now, the newest first; the first one is made where there is none."""
    found = list(_signing(using)) or [_made(using, FIRST_KEY)]
    return [Key(text=vault.open_(key.sealed), until=_seconds(key.until)) for key in found]


def published(using: str) -> dict[str, Any]:
    """Return the public keys as a JSON Web Key Set (RFC 7517 and 8037), each also as `whpk_` and base64."""
    found = list(_signing(using)) or [_made(using, FIRST_KEY)]
    return {"keys": [_described(key) for key in found]}


def add(using: str, *, overlap: float) -> SigningKey:
    """Make a new key. Those before it go on signing beside it for `overlap` seconds."""
    with transaction.atomic(using=using):
        there = SigningKey.objects.using(using).select_for_update().order_by("-id")
        newest = there.first()
        end = clock.moment(using) + dt.timedelta(seconds=overlap)
        SigningKey.objects.using(using).filter(until=None).update(until=end)
        return _made(using, newest.pk + 1 if newest else FIRST_KEY)


def _signing(using: str) -> QuerySet[SigningKey]:
    still = models.Q(until=None) | models.Q(until__gt=clock.moment(using))
    return SigningKey.objects.using(using).filter(still).order_by("-id")


def _made(using: str, id_: int) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    made, _ = SigningKey.objects.using(using).get_or_create(
        id=id_, defaults={"sealed": vault.seal(PRIVATE + _base64(seed)), "public": PUBLIC + _base64(public)}
    )
    return made


def _described(key: SigningKey) -> dict[str, Any]:
    raw = binascii.a2b_base64(key.public.removeprefix(PUBLIC))
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": str(key.pk),
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "whpk": key.public,
    }


def _seconds(moment: dt.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
