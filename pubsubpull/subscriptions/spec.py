"""The options of a subscription: as consumers send them, as they are stored, and as the API describes them."""

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
from pubsubpull.wire.ops import OP_NAMES
from pubsubpull.wire.ops import Name as OpName

if TYPE_CHECKING:
    from pubsubpull.pull.models import Consumer

State = Subscription.State
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}")
"""The names that a subscription may have."""
BATCH_SIZES = range(1, 1001)
"""The values of `batch`: the most changes in a notification."""
CONCURRENCY = range(1, 33)
"""The values of `concurrency`: how many changes may be under way at once, if each has its own URL."""
CHANGE_RATES = (0.01, 1_000_000.0)
"""The smallest and the largest `max_rate`, in changes a second."""


class SubscriptionSpec(BaseModel):
    """The body of a PUT: the options of a subscription.

    `after` is a cursor, `now` or `start`. Without it, a new subscription begins now, and an existing one continues from
    its cursor. `old_secret_until` ends the older secrets, at the latest after SECRET_OVERLAP. The default of `verify`
    comes from the settings. With `instances`, all rows are sent first, then the changes.
    """

    # Forbidden, since a misspelt option would silently have its default. Strict, since pydantic reads "yes" as true.
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


class DescribedOptions(BaseModel):
    """The options of a subscription, as the API describes them."""

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
    """The checked options of a subscription. Each field is a column."""

    callback: str
    """The URL that changes are sent to, or a template for one URL a change."""
    labels: list[str]
    """The labels of the models to send."""
    ops: list[str]
    """The names of the operations to send."""
    batch: int
    """How many changes a notification may have at most."""
    max_rate: float | None
    """How many changes a second are sent at most; None for no limit."""
    concurrency: int
    """How many changes may be under way at once, if each has its own URL."""
    form: str
    """The format of notifications."""
    verify: bool
    """True if the receiver is asked for its consent."""
    on_failure: str
    """The treatment of a change that the receiver refuses."""
    signature: str
    """The kind of signature."""

    @classmethod
    def of(cls, subscription: Subscription) -> Options:
        """Return the options of a stored subscription."""
        return cls(**{field.name: getattr(subscription, field.name) for field in dataclasses.fields(cls)})

    def columns(self) -> dict[str, Any]:
        """Return the columns' values by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def describe(self) -> dict[str, Any]:
        """Return the options by their API names."""
        return {API_NAMES.get(name, name): value for name, value in self.columns().items()}


API_NAMES = {"labels": "models", "form": "format"}
"""The API names of columns with other names."""


def fields(consumer: Consumer, name: str, requested: SubscriptionSpec) -> dict[str, Any]:
    """Return the columns' values for the options of a PUT; raise `SubscriptionError` for the first wrong option."""
    if not NAME_PATTERN.fullmatch(name):
        raise exceptions.SubscriptionError(
            "name", "must be 1 to 100 letters, digits, '.', '_', '~' or '-', and begin with a letter or digit."
        )
    if requested.secret is not None:
        # For its error only: the secret is stored as text.
        signing.key(requested.secret)
    if requested.old_secret_until is not None:
        # For its error only, before anything is changed.
        seconds(requested.old_secret_until)
    if requested.batch not in BATCH_SIZES:
        raise exceptions.SubscriptionError("batch", f"must be from {BATCH_SIZES[0]} to {BATCH_SIZES[-1]}.")
    if requested.max_rate is not None and not CHANGE_RATES[0] <= requested.max_rate <= CHANGE_RATES[1]:
        raise exceptions.SubscriptionError(
            "max_rate", f"must be from {CHANGE_RATES[0]} to {CHANGE_RATES[1]} changes a second."
        )
    # After the cheap checks: it may look up the callback's host, which may take seconds.
    registry.of(conf.get()).check(requested.callback)
    options = Options(
        callback=requested.callback,
        labels=_models(consumer, requested.models),
        ops=_ops(requested.ops),
        batch=requested.batch,
        max_rate=requested.max_rate,
        verify=_verify(requested.verify),
        concurrency=_concurrency(requested),
        form=_format(requested.format),
        on_failure=_on_failure(requested.on_failure),
        signature=_signature(requested),
    )
    return {**options.columns(), "state": State.PAUSED if requested.paused else State.ACTIVE}


def _verify(verify: bool | None) -> bool:
    setting = conf.get().VERIFY
    # The setting wins: a consumer must not turn off a check that protects other hosts from its callbacks.
    if setting == "always" and verify is False:
        raise exceptions.SubscriptionError("verify", "must not be false: every receiver is asked for its consent here.")
    return setting != "off" if verify is None else verify


def unless_unverified(fields: dict[str, Any], consented: str) -> str:
    """Return the state; unverified if the callback's receiver has yet to consent."""
    waits = fields["verify"] and consented != fields["callback"]
    return State.UNVERIFIED if waits and fields["state"] == State.ACTIVE else fields["state"]


def _models(consumer: Consumer, models: list[str]) -> list[str]:
    if not models:
        raise exceptions.SubscriptionError("models", "must name at least one model.")
    may = consumers.granted(consumer)
    for model in models:
        # One answer for both: a consumer must not learn which other models there are.
        if model.lower() not in may:
            raise exceptions.SubscriptionError(
                "models", f"{model[:200]!r} is not a published model that this consumer may read."
            )
    return sorted({model.lower() for model in models})


def _ops(ops: list[str] | None) -> list[str]:
    if ops is None:
        return list(OP_NAMES)
    if not ops or not set(ops) <= set(OP_NAMES):
        raise exceptions.SubscriptionError("ops", f"must be some of {', '.join(OP_NAMES)}.")
    return [op for op in OP_NAMES if op in ops]


def _concurrency(requested: SubscriptionSpec) -> int:
    if requested.concurrency not in CONCURRENCY:
        raise exceptions.SubscriptionError("concurrency", f"must be from {CONCURRENCY[0]} to {CONCURRENCY[-1]}.")
    # One URL gets its changes in order, so one notification at a time.
    if requested.concurrency > 1 and not takes_single(requested.callback):
        raise exceptions.SubscriptionError(
            "concurrency",
            "must be 1 if all changes go to one URL; a callback with {key} in it allows more.",
        )
    return requested.concurrency


def _format(form: str) -> str:
    if form not in Subscription.Format.values:
        raise exceptions.SubscriptionError("format", f"must be {' or '.join(Subscription.Format.values)}.")
    return form


def _signature(requested: SubscriptionSpec) -> str:
    if requested.signature not in {signing.HMAC_VERSION, signing.ED25519_VERSION}:
        raise exceptions.SubscriptionError("signature", f"must be {signing.HMAC_VERSION} or {signing.ED25519_VERSION}.")
    if requested.signature == signing.ED25519_VERSION and requested.secret is not None:
        raise exceptions.SubscriptionError("secret", "must not be given: the service signs with a key of its own.")
    return requested.signature


def _on_failure(on_failure: str) -> str:
    if on_failure not in Subscription.OnFailure.values:
        raise exceptions.SubscriptionError("on_failure", f"must be {' or '.join(Subscription.OnFailure.values)}.")
    return on_failure


def seconds(moment: str) -> float:
    """Return a time in unix seconds; raise `SubscriptionError` if it is not one."""
    wrong = exceptions.SubscriptionError("old_secret_until", "must be a time with its zone, as 2026-01-02T03:04:05Z.")
    try:
        end = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise wrong from None
    # timestamp() would read it in the time zone of this machine.
    if end.tzinfo is None:
        raise wrong
    return end.timestamp()
