"""Labels of events by the model that they are about: an object's history has its events between its changes."""

from __future__ import annotations

_labels: dict[str, set[str]] = {}


def add(subject: str, label: str) -> None:
    """Note that events with this label are about objects of the model `subject`."""
    _labels.setdefault(subject, set()).add(label)


def events_of(subject: str) -> list[str]:
    """Return the labels of events about a model."""
    return sorted(_labels.get(subject, ()))
