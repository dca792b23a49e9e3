"""Secrets at rest: encrypted with keys derived from the settings, the newest secret first, each with its end."""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, TypedDict

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings as django_settings
from django.core.signals import setting_changed

from pubsubpull import conf, exceptions
from pubsubpull.transports.base import Key
from pubsubpull.transports.keys import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

PURPOSE = b"pubsubpull: secrets of subscriptions"
"""Separates these keys from others that are derived from the same SECRET_KEY."""
SECRETS_KEPT = 2
"""How many secrets sign at the same time during a rotation."""


class Sealed(TypedDict):
    """A stored secret."""

    sealed: str
    """The encrypted secret."""
    until: float | None
    """When it ends, in unix seconds; None for no end."""


@functools.cache
def _box() -> MultiFernet:
    keys: tuple[str | bytes, ...] = conf.get().SECRET_KEYS or (
        django_settings.SECRET_KEY,
        *django_settings.SECRET_KEY_FALLBACKS,
    )
    # The first key encrypts, all decrypt: so SECRET_KEY is changed without losing the stored secrets.
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str | bytes) -> bytes:
    # Derived without salt: all processes must get the same key. SECRET_KEY has any length, Fernet's key 32 bytes.
    data = key.encode() if isinstance(key, str) else key
    return base64.urlsafe_b64encode(HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(data))


def seal(text: str) -> str:
    """Return a text encrypted with the first key."""
    return _box().encrypt(text.encode()).decode()


def open_(sealed: str) -> str:
    """Return the decrypted text; raise `SecretError` if none of the keys fits."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise exceptions.SecretError(UNREADABLE) from error


def resealed(sealed: str) -> str:
    """Return a secret encrypted anew with the first key; raise `SecretError` if it cannot be read."""
    return seal(open_(sealed))


def unchanged(sealed: str) -> str:
    """Return the argument; raise `SecretError` if it cannot be read."""
    open_(sealed)
    return sealed


def first(text: str) -> list[Sealed]:
    """Return the stored secrets of a new subscription."""
    return [{"sealed": seal(text), "until": None}]


def added(stored: Sequence[Sealed], text: str, *, now: float, overlap: float) -> list[Sealed]:
    """Return the stored secrets with a new one in front; the one before it ends after `overlap` seconds.

    Duplicates and unreadable secrets are dropped. The same call again changes nothing.
    """
    readable = [secret for secret in stored if _text(secret) is not None]
    # A repeated call must not put off the end of the older secret.
    if readable and _text(readable[0]) == text:
        return list(readable)
    end = now + overlap
    rest = [secret for secret in readable if _text(secret) != text and not _ended(secret, now)]
    # An end is never put off: repeated rotations must not keep an old secret valid.
    ending = [Sealed(sealed=secret["sealed"], until=min(end, secret["until"] or end)) for secret in rest]
    return [*first(text), *ending][:SECRETS_KEPT]


def ended(stored: Sequence[Sealed], *, until: float, now: float) -> list[Sealed]:
    """Return the stored secrets with an earlier end for all but the newest: `until`, unless theirs is earlier."""
    older = [Sealed(sealed=secret["sealed"], until=min(until, secret["until"] or until)) for secret in stored[1:]]
    # The newest stays in any case: it signs.
    return [*stored[:1], *(secret for secret in older if not _ended(secret, now))]


def opened(stored: Sequence[Sealed]) -> tuple[Key, ...]:
    """Return the decrypted secrets; raise `SecretError` if the newest cannot be read."""
    newest = [Key(text=open_(secret["sealed"]), until=secret["until"]) for secret in stored[:1]]
    # An older secret that cannot be read is left out: the newest alone is enough to sign.
    older = [(secret, _text(secret)) for secret in stored[1:]]
    return (*newest, *(Key(text=text, until=secret["until"]) for secret, text in older if text is not None))


def loads(text: str) -> tuple[Key, ...]:
    """Return the secrets from a column's JSON; none if the newest cannot be read."""
    try:
        # The error is swallowed: only this process may lack the key, and each send reports it.
        return opened(json.loads(text))
    except exceptions.SecretError:
        return ()


def _text(secret: Sealed) -> str | None:
    try:
        return open_(secret["sealed"])
    except exceptions.SecretError:
        return None


def _ended(secret: Sealed, now: float) -> bool:
    return secret["until"] is not None and secret["until"] <= now


def _changed(*, setting: str, **_: object) -> None:
    if setting in {"SECRET_KEY", "SECRET_KEY_FALLBACKS", conf.NAME}:
        # The box holds keys of these settings, which tests override.
        _box.cache_clear()


setting_changed.connect(_changed)
