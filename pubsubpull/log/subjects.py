"""The labels of events by their subject, a model. An object's history shows its events between its changes."""

from __future__ import annotations

_labels: dict[str, set[str]] = {}


def add(subject: str, label: str) -> None:
    """Register the events with this label as events about objects of the model `subject`."""
    _labels.setdefault(subject, set()).add(label)


def events_of(subject: str) -> list[str]:
    """Return the labels of the events about a model, sorted."""
    return sorted(_labels.get(subject, ()))
