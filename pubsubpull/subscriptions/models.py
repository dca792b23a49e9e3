"""The models of subscriptions, and of the workers that serve them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now

if TYPE_CHECKING:
    from collections.abc import Mapping

from pubsubpull.wire import formats


class Worker(models.Model):
    """A delivery process. It holds the leases of the subscriptions that name it until `expires`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.TextField()
    started = models.DateTimeField(db_default=Now())
    expires = models.DateTimeField()

    class Meta:
        db_table = "pubsubpull_worker"

    def __str__(self) -> str:
        return self.name


class Host(models.Model):
    """A callback's host that does not answer, shared by all workers.

    `began` is the start of the last failed exchange. No worker may try the host before `retry_at`.
    """

    host = models.TextField(primary_key=True)
    failures = models.IntegerField()
    since = models.DateTimeField(db_default=Now())
    began = models.DateTimeField()
    retry_at = models.DateTimeField()
    error = models.TextField()

    class Meta:
        db_table = "pubsubpull_host"

    def __str__(self) -> str:
        return self.host


class Counter(models.Model):
    """A counter of all workers, which only grows: of the metric `name`, the value of one `label`."""

    name = models.TextField()
    label = models.TextField()
    value = models.FloatField()

    class Meta:
        db_table = "pubsubpull_counter"
        constraints = (models.UniqueConstraint(fields=["name", "label"], name="pubsubpull_counter_label"),)

    def __str__(self) -> str:
        return f"{self.name} {self.label}"


class Sample(models.Model):
    """A sample of the log and its delivery. Two samples make a rate.

    `captured` is the last version, `delivered` the growing count of delivered changes, and `bytes` the size of the log.
    `details` counts the rows written to each captured table, and the changes delivered to each subscription. Only the
    latest samples have it.
    """

    at = models.DateTimeField(primary_key=True)
    captured = models.BigIntegerField()
    delivered = models.BigIntegerField()
    bytes = models.BigIntegerField()
    details = models.JSONField(null=True)

    class Meta:
        db_table = "pubsubpull_sample"

    def __str__(self) -> str:
        return str(self.at)


class SigningKey(models.Model):
    """A key pair of the service with its private half encrypted. It signs until `until`."""

    id = models.IntegerField(primary_key=True)
    sealed = models.TextField()
    public = models.TextField()
    made = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "pubsubpull_signing_key"

    def __str__(self) -> str:
        return self.public


class Subscription(models.Model):
    """A consumer's subscription: its options, and the checkpoint of its delivery.

    Delivery continues at `cursor`. The receiver was last sent `last_sent_cursor`; the two differ after changes that the
    subscription did not ask for. `backfill` is the position in the rows that precede all changes. `lease` is the
    fencing token: it grows with each change of worker or options, and a write with an older token is refused.
    `consented` is the callback that last gave its consent.
    """

    class State(models.TextChoices):
        """The state of delivery."""

        UNVERIFIED = "unverified"
        ACTIVE = "active"
        PAUSED = "paused"
        FAILING = "failing"
        DISABLED = "disabled"
        UNSUBSCRIBED = "unsubscribed"
        LAPSED = "lapsed"

    class OnFailure(models.TextChoices):
        """The treatment of a change that the receiver refuses."""

        BLOCK = "block"
        SET_ASIDE = "set-aside"

    class Format(models.TextChoices):
        """The format of notifications."""

        PAGE = formats.PAGE_FORMAT
        CLOUDEVENTS = formats.CLOUDEVENTS

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    consumer = models.ForeignKey("pubsubpull.Consumer", on_delete=models.CASCADE, related_name="subscriptions")
    name = models.TextField()
    callback = models.TextField()
    verify = models.BooleanField(default=False)
    consented = models.TextField(default="")
    labels = models.JSONField()
    ops = models.JSONField()
    batch = models.IntegerField()
    allowed_rate = models.IntegerField(null=True)
    max_rate = models.FloatField(null=True)
    free_at = models.DateTimeField(null=True)
    concurrency = models.IntegerField(default=1)
    form = models.TextField(choices=Format, default=Format.PAGE)
    on_failure = models.TextField(choices=OnFailure, default=OnFailure.BLOCK)
    signature = models.TextField(default="v1")
    secrets = models.JSONField()
    state = models.TextField(choices=State, default=State.ACTIVE)
    cursor = models.TextField()
    last_sent_cursor = models.TextField()
    backfill = models.TextField(default="")
    created = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    next_attempt = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    last_delivered = models.DateTimeField(null=True)
    delivered = models.BigIntegerField(default=0)
    worker = models.UUIDField(null=True)
    lease = models.BigIntegerField(default=0)

    class Meta:
        db_table = "pubsubpull_subscription"
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["consumer", "name"], name="pubsubpull_subscription_name"),)
        indexes = (models.Index(fields=["worker"], name="pubsubpull_subscription_holder"),)

    def __str__(self) -> str:
        return self.name

    def replace_options(self, options: Mapping[str, Any]) -> None:
        """Set other options, and reset the consent and the rates that no longer apply."""
        # Consent is bound to the address that gave it: a new one must be asked anew.
        if self.callback != options["callback"]:
            self.consented, self.allowed_rate, self.free_at = "", None, None
        # Counted with the old rate: a limit that is lifted must hold back nothing more.
        if self.max_rate != options["max_rate"]:
            self.free_at = None
        for name, value in options.items():
            setattr(self, name, value)


SERVED = frozenset({Subscription.State.UNVERIFIED, Subscription.State.ACTIVE, Subscription.State.FAILING})
"""The states in which a subscription is delivered to. In any other state, its worker releases it."""


class Failure(models.Model):
    """A dead letter: a change that its receiver refused, kept whole, while delivery continues without it.

    `attempts` counts the refusals. `tried`, `status`, `answer` (the beginning of the body) and `error` describe the
    last of them. `retrying` is true if the consumer asks for another attempt.
    """

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="failures")
    version = models.BigIntegerField()
    # Beside the item, which names it, too: a query filters by the consumer's grants.
    model = models.TextField()
    op = models.TextField()
    # Text, not JSON: the change is sent again exactly as it was written.
    item = models.TextField()
    set_aside = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField()
    tried = models.DateTimeField(db_default=Now())
    status = models.IntegerField(null=True)
    answer = models.TextField(default="")
    error = models.TextField()
    retrying = models.BooleanField(default=False)

    class Meta:
        db_table = "pubsubpull_failure"
        constraints = (models.UniqueConstraint(fields=["subscription", "version"], name="pubsubpull_failure_version"),)
        indexes = (
            models.Index(
                fields=["subscription"], name="pubsubpull_failure_retrying", condition=models.Q(retrying=True)
            ),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.version}"
