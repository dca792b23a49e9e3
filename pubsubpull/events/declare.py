"""Declarations of events: a class with typed fields becomes an event with a label, a key and a version."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

import pydantic
from django.apps import apps
from pydantic import dataclasses as pydantic_dataclasses

from pubsubpull import exceptions
from pubsubpull.log import subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Data = dict[str, Any]
Upcast = "Callable[[Data], Data]"

# The form that the SQL function pubsubpull_emit accepts: any other label would fail at its first emit.
LONGEST_LABEL = 200
"""The most characters of a label that `pubsubpull_emit` takes."""
LABEL_FORM = re.compile(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*")
RESERVED = ("upcast", "pubsubpull_kind")
"""Attributes that the decorator adds to the class, so that no field may have these names."""
VERSION_FIELD = "$v"
"""The member of an event's data that holds its version, if that is above 1."""
CONFIG = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False)
"""Unknown fields are refused, as a misspelt one would be lost; JSON has no infinity and no NaN."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A declared kind of event."""

    label: str
    """Its name on the wire, `app_label.classname` in lower case."""
    fields: tuple[str, ...]
    """The fields that make the key: one, or several for a composite key."""
    version: int
    """The version of its data, from 1 on."""
    subject: str | None
    """The label of a model: the event belongs to the history of its object with the event's key."""
    event_class: type
    """The declared class."""
    adapter: pydantic.TypeAdapter[Any]
    """Checks, reads and writes its data."""
    upcasts: dict[int, Callable[[Data], Data]] = dataclasses.field(default_factory=dict)
    """By version, the function that turns data of that version into data of the next."""

    def key_of(self, event: Any) -> str | list[Any]:
        """Return the value of an event's key, or the list of its parts. Raises `EventError` if a part is None."""
        parts = [getattr(event, name) for name in self.fields]
        for name, part in zip(self.fields, parts, strict=True):
            # str() would turn None into the key "None", as valid as any other.
            if part is None:
                raise exceptions.EventError(name, "is the key of the event, and must not be None.", label=self.label)
        return parts if len(parts) > 1 else str(parts[0])

    def load(self, data: Mapping[str, Any]) -> Any:
        """Return the event of some data from the log, of any version. Raises `EventError`."""
        # A copy, since the version is taken out of it, and the caller's data keeps it.
        known = dict(data)
        version = known.pop(VERSION_FIELD, 1)
        if not isinstance(version, int) or not 1 <= version <= self.version:
            raise exceptions.EventError(
                VERSION_FIELD, f"is version {version!r}; known are 1 to {self.version}.", label=self.label
            )
        for of in range(version, self.version):
            known = self._upcast(of, known)
        try:
            return self.adapter.validate_python(known)
        except pydantic.ValidationError as error:
            raise invalid(error, self.label) from error

    def _upcast(self, version: int, data: Data) -> Data:
        if version not in self.upcasts:
            raise exceptions.EventError(
                VERSION_FIELD, f"is version {version}, and no upcast leads from there.", label=self.label
            )
        try:
            return dict(self.upcasts[version](data))
        # Any error: the function is the application's, and the error must name the event and the version.
        except Exception as error:
            raise exceptions.EventError(
                VERSION_FIELD, f"is version {version}, whose upcast failed: {error!r}", label=self.label
            ) from error


_kinds: dict[str, Kind] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def event(
    *, key: str | tuple[str, ...], version: int = 1, label: str | None = None, subject: str | None = None
) -> Callable[[type[T]], type[T]]:
    """Declare an event: a decorator for a class whose fields have types.

    The class becomes an immutable dataclass whose values pydantic checks. `key` names the field, or the fields, by
    which events are ordered and found. `subject` is the label of a model (`shop.order`) whose object has the same
    key: the event is then part of that object's history. `label` is `app_label.classname` unless it is given.
    Raises `EventError` if the declaration is wrong.
    """
    fields = (key,) if isinstance(key, str) else tuple(key)

    def decorate(declared: type[T]) -> type[T]:
        name = label or f"{_app_label(declared)}.{declared.__name__}".lower()
        _check(declared, name, fields, version)
        checked: Any = pydantic_dataclasses.dataclass(kw_only=True, frozen=True, config=CONFIG)(declared)
        kind = Kind(
            label=name,
            fields=fields,
            version=version,
            subject=subject.lower() if subject else None,
            event_class=checked,
            adapter=pydantic.TypeAdapter(checked),
        )
        # Of the finished class: its fields include inherited ones.
        missing = [field for field in fields if field not in {f.name for f in dataclasses.fields(checked)}]
        if missing:
            raise exceptions.EventError("key", f"names {', '.join(missing)}, which is no field.", label=name)
        checked.pubsubpull_kind = kind
        checked.upcast = staticmethod(lambda of: _upcaster(kind, of))
        # After all checks: a refused declaration is not registered.
        _kinds[name] = kind
        if kind.subject:
            subjects.add(kind.subject, name)
        return cast("type[T]", checked)

    return decorate


def _app_label(declared: type) -> str:
    config = apps.get_containing_app_config(declared.__module__)
    if config is None:
        raise exceptions.EventError(
            "label", f"of {declared.__qualname__} is not known, as no installed app has it: give `label`.", label=""
        )
    return config.label


def _check(declared: type, label: str, fields: tuple[str, ...], version: int) -> None:
    if not LABEL_FORM.fullmatch(label) or len(label) > LONGEST_LABEL:
        raise exceptions.EventError("label", f"is {label!r}, and must be as shop.orderplaced.", label=label)
    before = _kinds.get(label)
    # Names are compared, not classes: a module that is loaded again declares a new class of the same event.
    if before and (before.event_class.__module__, before.event_class.__qualname__) != (
        declared.__module__,
        declared.__qualname__,
    ):
        raise exceptions.EventError("label", f"is that of {before.event_class.__qualname__} already.", label=label)
    if not fields:
        raise exceptions.EventError("key", "names no field.", label=label)
    # For Python, True is the integer 1.
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise exceptions.EventError("version", f"is {version!r}, and must be a whole number from 1 on.", label=label)
    taken = [name for name in RESERVED if name in vars(declared) or name in declared.__annotations__]
    if taken:
        raise exceptions.EventError(taken[0], "is a name that the event itself needs.", label=label)


def _upcaster(kind: Kind, version: int) -> Callable[[Callable[[Data], Data]], Callable[[Data], Data]]:
    """Return a decorator for the function that turns data of one version into data of the next."""
    if not 1 <= version < kind.version:
        raise exceptions.EventError(
            "version", f"to upcast is {version!r}; it is below {kind.version}.", label=kind.label
        )

    def decorate(function: Callable[[Data], Data]) -> Callable[[Data], Data]:
        kind.upcasts[version] = function
        return function

    return decorate


def invalid(error: pydantic.ValidationError, label: str) -> exceptions.EventError:
    """Return the error of data that does not fit: it names the first wrong field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"])) or "data"
    return exceptions.EventError(field, f"{first['msg']}.", label=label)


def kind_of(event: Any) -> Kind:
    """Return the kind of an event or of its class. Raises `EventError` for anything else."""
    kind = getattr(event, "pubsubpull_kind", None)
    if not isinstance(kind, Kind):
        # Cut: any object may be passed by mistake, and its repr may be long.
        raise exceptions.EventError("event", f"is {event!r:.100}: declare its class with @pubsubpull.event.", label="")
    return kind


def get(label: str) -> Kind | None:
    """Return the kind with a label; None if there is none."""
    return _kinds.get(label)


def all_kinds() -> dict[str, Kind]:
    """Return all declared kinds by label, in the order of labels."""
    return dict(sorted(_kinds.items()))
