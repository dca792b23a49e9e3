"""The form of the API's answers, for its OpenAPI document. The answers themselves are PostgreSQL's own text."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  ninja reads the annotations
import uuid  # noqa: TC003
from typing import Any, Literal

from ninja import Schema

from pubsubpull.wire import ops  # noqa: TC001  pydantic reads the annotations


class Link(Schema):
    """A model and where it is."""

    model: str
    url: str


class Service(Schema):
    """The service, and the models and events that the consumer may read."""

    service: str
    history: int
    models: list[Link]
    events: list[str]
    links: dict[str, str]


class Model(Schema):
    """A model: its key's columns, and its rows as JSON Schema."""

    model: str
    key: list[str]
    columns: dict[str, Any]
    links: dict[str, str]


class Instance(Schema):
    """A row as it is now.

    `version` compares with those of changes: none that is in the row is higher, and each that is to come is.
    """

    key: str
    version: int
    data: dict[str, Any]


class Ranges(Schema):
    """About how many rows a model has, and the keys that split them into ranges."""

    model: str
    rows: int
    keys: list[str]


class Bounds(Schema):
    """Keys that split a model's rows into ranges, in the order that hashes are taken in."""

    model: str
    keys: list[str]


class RangeHash(Schema):
    """How many rows a range has, and one hash of them all."""

    count: int
    hash: str


class Hashes(Schema):
    """The hashes of key ranges that adjoin, of these columns."""

    model: str
    columns: list[str]
    ranges: list[RangeHash]


class RowHash(Schema):
    """The hash of a row."""

    key: str
    hash: str


class RowHashes(Schema):
    """The hashes of rows, by key."""

    model: str
    items: list[RowHash]


class Rows(Schema):
    """The rows of some keys, all of one moment."""

    model: str
    items: list[Instance]


class Instances(Schema):
    """A page of rows. `cursor` was taken before the first page: go on with the changes after it."""

    model: str
    items: list[Instance]
    next: str | None
    cursor: str


class Change(Schema):
    """One change. A truncate and an uncaptured have no key."""

    version: int
    transaction: str
    model: str
    key: str | None
    op: ops.Name
    at: dt.datetime
    request: uuid.UUID | None
    old: dict[str, Any] | None
    new: dict[str, Any] | None


class Changes(Schema):
    """A page of changes, and the cursor to go on from; `more` says that there are some already."""

    items: list[Change]
    cursor: str
    more: bool


class ModelChanges(Schema):
    """The changes of one model in a compact page, each as its version, its key, its op and its row.

    The row is that after the change, or of a delete that before: the values of `columns` in their order, an object
    where it has other columns, or null.
    """

    columns: list[str]
    items: list[tuple[int, str | None, ops.Name, list[Any] | dict[str, Any] | None]]


class CompactChanges(Schema):
    """A page of changes in its compact form, by model."""

    models: dict[str, ModelChanges]
    cursor: str
    more: bool


class AuditEntry(Schema):
    """One change of an object, as columns that changed from one value to another, and the request that made it."""

    version: int
    op: ops.Name | Literal["erase"]
    at: dt.datetime
    changed: dict[str, list[Any]]
    request: dict[str, Any] | None


class Audit(Schema):
    """An object's trail, newest first."""

    items: list[AuditEntry]
    next: str | None


class Request(Schema):
    """A request and its changes."""

    id: uuid.UUID
    changes: list[dict[str, Any]]


class Check(Schema):
    """The state of the service: `ok` for each check that holds, else a reason; no checks without a token."""

    status: Literal["ok", "failing"]
    checks: dict[str, str] | None = None


class Problem(Schema):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
