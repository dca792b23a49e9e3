"""Consumers of the API, their tokens and their grants."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from django.db import transaction
from ninja.security import HttpBearer

from pubsubpull import conf, exceptions
from pubsubpull.capture import registry, sql
from pubsubpull.events import declare
from pubsubpull.pull import limits, problems
from pubsubpull.pull.models import Consumer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

CONSUMER_COLUMNS = [field.attname for field in Consumer._meta.concrete_fields]
EVENTS = "event:*"
"""A grant of every event, also of events that are declared later. `*` is of models alone: it gives no event."""
ALL_MODELS = "*"
"""A grant of every published model, also of models that are published later."""


def consumers() -> QuerySet[Consumer]:
    """Return the consumers of the log that is served."""
    return Consumer.objects.using(conf.get().DATABASE)


def new_token() -> str:
    """Return a token of 256 random bits."""
    return "psp_" + secrets.token_urlsafe(32)


def hashed(token: str) -> str:
    """Return the hash of a token: the database has no more of it."""
    # A plain hash is safe for 256 random bits, and is needed: the consumer is found by it, with each call.
    # surrogatepass: text that is not valid Unicode must be a wrong token, not an error.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(
    name: str,
    models: Iterable[str],
    *,
    may_audit: bool = False,
    may_subscribe: bool = False,
    may_monitor: bool = False,
) -> tuple[Consumer, str]:
    """Create a consumer; return it and its token, which is not stored. Raises `PublicationError`."""
    granted = checked(models)
    token = new_token()
    consumer = consumers().create(
        name=name,
        token_hash=hashed(token),
        granted=granted,
        may_audit=may_audit,
        may_subscribe=may_subscribe,
        may_monitor=may_monitor,
    )
    return consumer, token


def rotate(consumer: Consumer) -> str:
    """Give a consumer a new token, and return it. The old token is invalid at once."""
    token = new_token()
    # The hash alone is stored: a copy of the database opens no API.
    consumer.token_hash = hashed(token)
    consumer.save()
    return token


RIGHTS = ("audit", "subscribe", "monitor")


def change(consumer: Consumer, *, grant: Iterable[str] = (), revoke: Iterable[str] = (), **rights: bool) -> Consumer:
    """Change the grants of a consumer; return the consumer. `rights` are `audit`, `subscribe` and `monitor`.

    The token and the subscriptions stay; a subscription to a revoked model gets no more of its changes. Raises
    `PublicationError` if a model is unknown, or is to be revoked and was not granted.
    """
    using = conf.get().DATABASE
    granted, revoked = checked(grant), {label.strip().lower() for label in revoke} - {""}
    with transaction.atomic(using):
        # Locked: two changes at once would each write back the grants that they had read.
        stored = consumers().select_for_update().get(pk=consumer.pk)
        if missing := sorted(revoked - {*stored.granted}):
            had = ", ".join(stored.granted) or "no model"
            raise exceptions.PublicationError(f"{', '.join(missing)} is not granted to {stored.name}, but {had}.")
        stored.granted = sorted(({*stored.granted} - revoked) | {*granted})
        for right, may in rights.items():
            setattr(stored, f"may_{right}", may)
        stored.save(update_fields=["granted", *(f"may_{right}" for right in rights)])
    return stored


def checked(models: Iterable[str]) -> list[str]:
    """Return model labels in lower case, each once. Raises `PublicationError` if a model is not published."""
    labels = sorted({label.strip().lower() for label in models} - {""})
    for label in labels:
        if label not in {ALL_MODELS, EVENTS} and not is_known(label):
            known = ", ".join(known_labels()) or "none"
            raise exceptions.PublicationError(f"{label} is not published. Published are: {known}.")
    return labels


def authenticate(token: str) -> Consumer | None:
    """Return the active consumer with this token; None if there is none."""
    using = conf.get().DATABASE
    # By its hash, so that no time of a comparison tells how much of a guessed token is right.
    rows = sql.run(using, sql.compose("queries/consumers/active", token_hash=hashed(token)))
    for pk, name, token_hash, granted_, *rest in rows:
        return Consumer.from_db(using, CONSUMER_COLUMNS, [pk, name, token_hash, json.loads(granted_), *rest])
    return None


def granted(consumer: Consumer) -> list[str]:
    """Return the published models that a consumer may read."""
    return [label for label in known_labels() if permits(consumer.granted, label)]


def permits(grants: Collection[str], label: str) -> bool:
    """True if some grants include a label: by itself, or with all models or all events."""
    return label in grants or (EVENTS if declare.get(label) is not None else ALL_MODELS) in grants


def known_labels() -> list[str]:
    """Return the labels of all published models and declared events."""
    return [*registry.all_publications(), *declare.all_kinds()]


def is_known(label: str) -> bool:
    """True if a model with this label is published, or an event declared."""
    return registry.get(label) is not None or declare.get(label) is not None


def chosen(consumer: Consumer, models: str | Iterable[str] | None) -> list[str]:
    """Return the models that a call asks for, or all granted models if it names none.

    A model that was not granted gets the same answer as a model that does not exist.
    """
    may = granted(consumer)
    if models is None:
        return may
    names = models.split(",") if isinstance(models, str) else models
    labels = sorted({name.strip().lower() for name in names})
    for label in labels:
        # One answer for both: a consumer must not learn which other models there are.
        if label not in may:
            raise problems.not_found(f"{label[:100]!r} is not a model that you may read.", "models")
    return labels


class Token(HttpBearer):
    """The API's authentication: `request.auth` is the consumer."""

    def authenticate(self, request: HttpRequest, token: str) -> Consumer | None:  # noqa: ARG002  ninja's signature
        """Return the consumer that has this token, and count the call."""
        consumer = authenticate(token)
        if consumer is not None:
            limits.check_rate(consumer)
        return consumer


def may_see_keys(request: HttpRequest) -> Any:
    """Return the caller if it may see the public keys, else None."""
    return "everyone" if conf.get().PUBLIC_KEYS == "everyone" else Token()(request)


def may_see_docs(request: HttpRequest) -> HttpResponse | None:
    """Return None where the caller may see the API's documentation, else the answer that refuses it."""
    mode = conf.get().DOCS
    if mode == "off":
        return problems.response(problems.not_found("This service does not show its documentation."))
    # A project without Django's authentication has no `user`.
    user: Any = getattr(request, "user", None)
    if mode == "public" or getattr(user, "is_staff", False) or Token()(request):
        return None
    return problems.response(problems.unauthorized())
