"""Signatures of notifications, as the Standard Webhooks specification (https://www.standardwebhooks.com) has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random_secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pubsubpull import exceptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
SIZES = range(24, 65)
"""How many bytes a secret may have."""
VERSION = "v1"
PRIVATE, PUBLIC = "whsk_", "whpk_"
"""What private and public keys begin with, each followed by the base64 of its 32 bytes."""
PUBLIC_VERSION = "v1a"
"""The signature by a private key, Ed25519, that its public key verifies."""
MARKS = 20
"""How many signatures of a notification are looked at."""
TOLERANCE = 300.0
"""How far a notification's time may be from the receiver's clock, in seconds, either way."""


def new_secret() -> str:
    """Return a new secret of 32 random bytes, as `whsec_` and base64."""
    return PREFIX + base64.b64encode(random_secrets.token_bytes(32)).decode("ascii")


def key(secret: str) -> bytes:
    """Return the bytes of a secret; raises `SubscriptionError` for what is none. The error does not show it."""
    try:
        data = base64.b64decode(secret.removeprefix(PREFIX).encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise exceptions.SubscriptionError("secret", f"is not {PREFIX} followed by base64.") from error
    if not secret.startswith(PREFIX) or len(data) not in SIZES:
        raise exceptions.SubscriptionError(
            "secret", f"must be {PREFIX} followed by the base64 of {SIZES[0]} to {SIZES[-1]} random bytes."
        )
    return data


def sign(secrets: Sequence[str], *, notification: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret or private key, a space between."""
    signed = f"{notification}.{timestamp}.".encode() + body
    return " ".join([_versioned(secret, signed) for secret in secrets])


def headers(secrets: Sequence[str], *, notification: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers that a signed notification carries."""
    return {
        "webhook-id": notification,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, notification=notification, timestamp=timestamp, body=body),
    }


def verify(
    secrets: Sequence[str], *, headers: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE
) -> bool:
    """Say whether one of the secrets signed this body with these headers, and not too long ago.

    A public key, `whpk_` and base64, may stand for a secret. The headers' names are in lower case. `now` is the
    receiver's clock, in unix seconds.
    """
    notification, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not notification or "." in notification:  # with a dot, what is signed could be read with another time
        return False
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 15:
        return False
    if abs(now - int(timestamp)) > tolerance:
        return False
    signed = f"{notification}.{timestamp}.".encode() + body
    marks = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")[:MARKS]]
    given = [mark.encode() for version, _, mark in marks if version == VERSION]
    by_key = [mark for version, _, mark in marks if version == PUBLIC_VERSION]
    if any(_fits(secret, mark, signed) for secret in secrets if secret.startswith(PUBLIC) for mark in by_key):
        return True
    right = [_signature(key(secret), signed).encode() for secret in secrets if not secret.startswith(PUBLIC)]
    # Each pair is compared, so that the time says nothing of which one fits.
    return any([hmac.compare_digest(one, other) for one in given for other in right])  # noqa: C419  a generator would stop early


def _signature(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode("ascii")


def _versioned(secret: str, signed: bytes) -> str:
    if not secret.startswith(PRIVATE):
        return f"{VERSION},{_signature(key(secret), signed)}"
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(PRIVATE)))
    return f"{PUBLIC_VERSION},{base64.b64encode(private.sign(signed)).decode('ascii')}"


def _fits(public: str, mark: str, signed: bytes) -> bool:
    try:
        raw = base64.b64decode(public.removeprefix(PUBLIC).encode(), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(mark.encode(), validate=True), signed)
    except (ValueError, InvalidSignature):
        return False
    return True
