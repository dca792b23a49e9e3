"""The options of a subscription: as they are asked for, stored and told, and what each of them may be."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from pubsubpull import conf, exceptions
from pubsubpull.pull import consumers
from pubsubpull.subscriptions.models import Subscription
from pubsubpull.transports import registry
from pubsubpull.transports.base import takes_single
from pubsubpull.wire import signing
from pubsubpull.wire.ops import NAMES
from pubsubpull.wire.ops import Name as OpName

if TYPE_CHECKING:
    from pubsubpull.pull.models import Consumer

State = Subscription.State
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}")
BATCH = range(1, 1001)
"""How many changes a notification may have at most."""
CONCURRENCY = range(1, 33)
"""How many changes may be on their way at once, where each has a URL of its own."""
RATE = (0.01, 1_000_000.0)
"""How many changes a second a subscription may be limited to."""


class Wish(BaseModel):
    """What to send where.

    `after` is a cursor, `now` or `start`; without it a new subscription begins now, and another stays where it is.
    `old_secret_until` ends the secrets before the newest one, at the latest after SECRET_OVERLAP. Without `verify` the
    settings decide. With `instances` all rows are sent first, then the changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    callback: StrictStr
    models: list[StrictStr]
    ops: list[StrictStr] | None = None
    batch: StrictInt = 100
    max_rate: StrictInt | StrictFloat | None = None
    concurrency: StrictInt = 1
    format: StrictStr = "page"
    on_failure: StrictStr = "block"
    after: StrictStr | None = None
    secret: StrictStr | None = Field(default=None, repr=False)
    old_secret_until: StrictStr | None = None
    signature: StrictStr = "v1"
    paused: StrictBool = False
    verify: StrictBool | None = None
    instances: StrictBool = False


class Told(BaseModel):
    """The options of a subscription, as a consumer is told of them."""

    callback: str
    models: list[str]
    ops: list[OpName]
    batch: int
    max_rate: float | None
    concurrency: int
    format: Literal["page", "cloudevents"]
    verify: bool
    on_failure: Literal["block", "set-aside"]
    signature: Literal["v1", "v1a"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What a consumer's wish comes to, checked. Each field is a column of the subscription."""

    callback: str
    """The URL that changes are sent to, or a template for one URL a change."""
    wanted: list[str]
    """The labels of the models whose changes are sent."""
    ops: list[str]
    """The names of the operations whose changes are sent."""
    batch: int
    """How many changes a notification may have at most."""
    max_rate: float | None
    """How many changes a second are sent at most; None for no limit."""
    concurrency: int
    """How many changes may be on their way at once, where each has a URL of its own."""
    form: str
    """How notifications are written."""
    verify: bool
    """True if the receiver is asked for its consent."""
    on_failure: str
    """What becomes of a change that the receiver does not take."""
    signature: str
    """How notifications are signed."""

    @classmethod
    def of(cls, subscription: Subscription) -> Options:
        """Return the options of a stored subscription."""
        return cls(**{field.name: getattr(subscription, field.name) for field in dataclasses.fields(cls)})

    def columns(self) -> dict[str, Any]:
        """Return the columns' values by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def describe(self) -> dict[str, Any]:
        """Return what a consumer is told of them, by the API's names."""
        return {API_NAMES.get(name, name): value for name, value in self.columns().items()}


API_NAMES = {"wanted": "models", "form": "format"}
"""The API's names of the columns that are called otherwise."""


def fields(consumer: Consumer, name: str, wish: Wish) -> dict[str, Any]:
    """Return the fields that the wish comes to; raises `SubscriptionError` for the first that is wrong."""
    if not NAME.fullmatch(name):
        raise exceptions.SubscriptionError(
            "name", "must be 1 to 100 letters, digits, '.', '_', '~' or '-', and begin with a letter or digit."
        )
    if wish.secret is not None:
        signing.key(wish.secret)
    if wish.old_secret_until is not None:
        seconds(wish.old_secret_until)
    if wish.batch not in BATCH:
        raise exceptions.SubscriptionError("batch", f"must be from {BATCH[0]} to {BATCH[-1]}.")
    if wish.max_rate is not None and not RATE[0] <= wish.max_rate <= RATE[1]:
        raise exceptions.SubscriptionError("max_rate", f"must be from {RATE[0]} to {RATE[1]} changes a second.")
    registry.of(conf.get()).check(wish.callback)
    options = Options(
        callback=wish.callback,
        wanted=_models(consumer, wish.models),
        ops=_ops(wish.ops),
        batch=wish.batch,
        max_rate=wish.max_rate,
        verify=_verify(wish.verify),
        concurrency=_concurrency(wish),
        form=_format(wish.format),
        on_failure=_on_failure(wish.on_failure),
        signature=_signature(wish),
    )
    return {**options.columns(), "state": State.PAUSED if wish.paused else State.ACTIVE}


def _verify(wanted: bool | None) -> bool:
    setting = conf.get().VERIFY
    if setting == "always" and wanted is False:
        raise exceptions.SubscriptionError("verify", "must not be false: every receiver is asked for its consent here.")
    return setting != "off" if wanted is None else wanted


def unless_unverified(fields: dict[str, Any], consented: str) -> str:
    """Return the state, which is unverified where the receiver at the callback has yet to consent."""
    waits = fields["verify"] and consented != fields["callback"]
    return State.UNVERIFIED if waits and fields["state"] == State.ACTIVE else fields["state"]


def _models(consumer: Consumer, models: list[str]) -> list[str]:
    if not models:
        raise exceptions.SubscriptionError("models", "must name at least one model.")
    may = consumers.granted(consumer)
    for model in models:
        if model.lower() not in may:
            raise exceptions.SubscriptionError(
                "models", f"{model[:200]!r} is not a published model that this consumer may read."
            )
    return sorted({model.lower() for model in models})


def _ops(ops: list[str] | None) -> list[str]:
    if ops is None:
        return list(NAMES)
    if not ops or not set(ops) <= set(NAMES):
        raise exceptions.SubscriptionError("ops", f"must be some of {', '.join(NAMES)}.")
    return [op for op in NAMES if op in ops]


def _concurrency(wish: Wish) -> int:
    if wish.concurrency not in CONCURRENCY:
        raise exceptions.SubscriptionError("concurrency", f"must be from {CONCURRENCY[0]} to {CONCURRENCY[-1]}.")
    if wish.concurrency > 1 and not takes_single(wish.callback):
        raise exceptions.SubscriptionError(
            "concurrency",
            "must be 1 where all changes go to one URL; a callback with {key} in it allows more.",
        )
    return wish.concurrency


def _format(form: str) -> str:
    if form not in Subscription.Format.values:
        raise exceptions.SubscriptionError("format", f"must be {' or '.join(Subscription.Format.values)}.")
    return form


def _signature(wish: Wish) -> str:
    if wish.signature not in {signing.VERSION, signing.PUBLIC_VERSION}:
        raise exceptions.SubscriptionError("signature", f"must be {signing.VERSION} or {signing.PUBLIC_VERSION}.")
    if wish.signature == signing.PUBLIC_VERSION and wish.secret is not None:
        raise exceptions.SubscriptionError("secret", "must not be given where the service signs with a key of its own.")
    return wish.signature


def _on_failure(on_failure: str) -> str:
    if on_failure not in Subscription.OnFailure.values:
        raise exceptions.SubscriptionError("on_failure", f"must be {' or '.join(Subscription.OnFailure.values)}.")
    return on_failure


def seconds(moment: str) -> float:
    """Return a time in unix seconds; raises `SubscriptionError`."""
    wrong = exceptions.SubscriptionError("old_secret_until", "must be a time with its zone, as 2026-01-02T03:04:05Z.")
    try:
        found = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise wrong from None
    if found.tzinfo is None:
        raise wrong
    return found.timestamp()
