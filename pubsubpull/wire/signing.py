"""Signatures of notifications, by the Standard Webhooks specification (https://www.standardwebhooks.com)."""

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

HMAC_PREFIX = "whsec_"
SIZES = range(24, 65)
"""The possible lengths of a secret in bytes."""
HMAC_VERSION = "v1"
"""The version of signatures by a secret: HMAC with SHA-256."""
PRIVATE_PREFIX, PUBLIC_PREFIX = "whsk_", "whpk_"
"""The prefixes of private and public keys, each followed by the base64 of 32 bytes."""
ED25519_VERSION = "v1a"
"""The version of signatures by a private key: Ed25519."""
MARKS = 20
"""The most signatures of one notification that are compared."""
TOLERANCE = 300.0
"""The largest distance between a notification's time and the receiver's clock, in seconds."""


def new_secret() -> str:
    """Return a new secret of 32 random bytes, as `whsec_` and base64."""
    return HMAC_PREFIX + base64.b64encode(random_secrets.token_bytes(32)).decode("ascii")


def key(secret: str) -> bytes:
    """Return the bytes of a secret. Raises `SubscriptionError`, which does not show the text, for any other text."""
    try:
        # Validated: without it, base64 skips characters that it does not know, and a mistyped secret is another one.
        data = base64.b64decode(secret.removeprefix(HMAC_PREFIX).encode("ascii"), validate=True)
    except (ValueError, binascii.Error) as error:
        raise exceptions.SubscriptionError("secret", f"is not {HMAC_PREFIX} followed by base64.") from error
    if not secret.startswith(HMAC_PREFIX) or len(data) not in SIZES:
        raise exceptions.SubscriptionError(
            "secret", f"must be {HMAC_PREFIX} followed by the base64 of {SIZES[0]} to {SIZES[-1]} random bytes."
        )
    return data


def sign(secrets: Sequence[str], *, notification: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: a signature for each secret or private key, with spaces between them."""
    # The id and the time are signed too: otherwise a recorded body could be sent again under another id or time.
    signed = f"{notification}.{timestamp}.".encode() + body
    return " ".join([_versioned(secret, signed) for secret in secrets])


def headers(secrets: Sequence[str], *, notification: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a signed notification. `timestamp` is in unix seconds."""
    return {
        "webhook-id": notification,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, notification=notification, timestamp=timestamp, body=body),
    }


def verify(
    secrets: Sequence[str], *, headers: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE
) -> bool:
    """True if one of the secrets signed this body with these headers, at most `tolerance` seconds from `now`.

    The secrets may also be public keys: `whpk_` and base64. The headers' names are in lower case. `now` is the
    receiver's clock, in unix seconds.
    """
    notification, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    # The signed text is joined by dots: with a dot in the id, the same text could be read with another time.
    if not notification or "." in notification:
        return False
    # Before int(), which also reads the digits of other scripts, and takes long for a long text.
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 15:
        return False
    # An old notification is refused although it is signed: it may have been recorded, and be sent again.
    if abs(now - int(timestamp)) > tolerance:
        return False
    signed = f"{notification}.{timestamp}.".encode() + body
    # Bounded: the header comes from outside, and each signature costs a comparison, or the work of Ed25519.
    marks = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")[:MARKS]]
    by_secret = [mark.encode() for version, _, mark in marks if version == HMAC_VERSION]
    by_key = [mark for version, _, mark in marks if version == ED25519_VERSION]
    if any(_fits(secret, mark, signed) for secret in secrets if secret.startswith(PUBLIC_PREFIX) for mark in by_key):
        return True
    right = [_signature(key(secret), signed).encode() for secret in secrets if not secret.startswith(PUBLIC_PREFIX)]
    # Each pair is compared, in constant time: the time of the answer must not tell how much of a signature fits.
    return any([hmac.compare_digest(mark, other) for mark in by_secret for other in right])  # noqa: C419  a generator would stop early


def _signature(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode("ascii")


def _versioned(secret: str, signed: bytes) -> str:
    if not secret.startswith(PRIVATE_PREFIX):
        return f"{HMAC_VERSION},{_signature(key(secret), signed)}"
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(PRIVATE_PREFIX)))
    return f"{ED25519_VERSION},{base64.b64encode(private.sign(signed)).decode('ascii')}"


def _fits(public: str, mark: str, signed: bytes) -> bool:
    try:
        raw = base64.b64decode(public.removeprefix(PUBLIC_PREFIX).encode(), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(base64.b64decode(mark.encode(), validate=True), signed)
    # A malformed signature is one that does not fit: the header comes from outside.
    except (ValueError, InvalidSignature):
        return False
    return True
