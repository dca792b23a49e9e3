"""The settings: one frozen object, read lazily from `settings.PUBSUBPULL`."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from pubsubpull import exceptions
from pubsubpull.conf.settings import DEFAULTS, Settings
from pubsubpull.conf.validation import ALIASES, NAME, problems

__all__ = ["DEFAULTS", "NAME", "Settings", "get", "given", "problems"]


def given() -> Any:
    """Return PUBSUBPULL as it stands in Django's settings."""
    return getattr(django_settings, NAME, {})


@functools.cache
def get() -> Settings:
    """Return the settings in force. A wrong one is a system check's error; here it raises `SettingsError`."""
    values = given()
    for name, reason in problems(values):
        raise exceptions.SettingsError(f"{NAME}: {name} {reason}.")
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return Settings(**frozen)


def _changed(*, setting: str, **_: Any) -> None:
    if setting in {NAME, *ALIASES.values()}:
        get.cache_clear()


setting_changed.connect(_changed)
