"""Secrets at rest: encrypted with keys that are made of settings, the newest secret first, each with its end."""

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
SECRETS_KEPT = 2
"""How many secrets sign at the same time, while a receiver changes from one to the next."""


class Sealed(TypedDict):
    """A secret as it is stored. `until` is when it ends, in unix seconds."""

    sealed: str
    until: float | None


@functools.cache
def _box() -> MultiFernet:
    keys: tuple[str | bytes, ...] = conf.get().SECRET_KEYS or (
        django_settings.SECRET_KEY,
        *django_settings.SECRET_KEY_FALLBACKS,
    )
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str | bytes) -> bytes:
    data = key.encode() if isinstance(key, str) else key
    return base64.urlsafe_b64encode(HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(data))


def seal(text: str) -> str:
    """Return a text encrypted with the first key."""
    return _box().encrypt(text.encode()).decode()


def open_(sealed: str) -> str:
    """Return the text; raises `SecretError` where none of the keys fits."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise exceptions.SecretError(UNREADABLE) from error


def resealed(sealed: str) -> str:
    """Return the same secret encrypted with the first key; raises `SecretError`."""
    return seal(open_(sealed))


def unchanged(sealed: str) -> str:
    """Return what was given; raises `SecretError` where it cannot be read."""
    open_(sealed)
    return sealed


def first(text: str) -> list[Sealed]:
    """Return what is stored of a subscription's first secret."""
    return [{"sealed": seal(text), "until": None}]


def added(there: Sequence[Sealed], text: str, *, now: float, overlap: float) -> list[Sealed]:
    """Return what is stored once a secret has been added: the one before it ends after `overlap` seconds.

    One that is there already, or that cannot be read, takes up no place. The same call again changes nothing.
    """
    found = [one for one in there if _text(one) is not None]
    if found and _text(found[0]) == text:
        return list(found)
    rest = [one for one in found if _text(one) != text and not _ended(one, now)]
    ending = [Sealed(sealed=one["sealed"], until=min(now + overlap, one["until"] or now + overlap)) for one in rest]
    return [*first(text), *ending][:SECRETS_KEPT]


def ended(there: Sequence[Sealed], *, until: float, now: float) -> list[Sealed]:
    """Return what is stored once the secrets before the newest end then, or when they were to end before that."""
    older = [Sealed(sealed=one["sealed"], until=min(until, one["until"] or until)) for one in there[1:]]
    return [*there[:1], *(one for one in older if not _ended(one, now))]


def opened(there: Sequence[Sealed]) -> tuple[Key, ...]:
    """Return the secrets that are stored; raises `SecretError` where the newest cannot be read."""
    newest = [Key(text=open_(one["sealed"]), until=one["until"]) for one in there[:1]]
    others = [(one, _text(one)) for one in there[1:]]
    return (*newest, *(Key(text=text, until=one["until"]) for one, text in others if text is not None))


def loads(text: str) -> tuple[Key, ...]:
    """Return the secrets in what the database holds; nothing where the newest cannot be read."""
    try:
        return opened(json.loads(text))
    except exceptions.SecretError:
        return ()


def _text(one: Sealed) -> str | None:
    try:
        return open_(one["sealed"])
    except exceptions.SecretError:
        return None


def _ended(one: Sealed, now: float) -> bool:
    return one["until"] is not None and one["until"] <= now


def _changed(*, setting: str, **_: object) -> None:
    if setting in {"SECRET_KEY", "SECRET_KEY_FALLBACKS", conf.NAME}:
        _box.cache_clear()


setting_changed.connect(_changed)
