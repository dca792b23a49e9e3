"""Subscriptions and the workers that serve them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.functions import Now

if TYPE_CHECKING:
    from collections.abc import Mapping

from pubsubpull.wire import formats


class Worker(models.Model):
    """A delivery process. While `expires` lies ahead, the subscriptions that name it are its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.TextField()
    started = models.DateTimeField(db_default=Now())
    expires = models.DateTimeField()

    class Meta:
        db_table = "pubsubpull_worker"

    def __str__(self) -> str:
        return self.name


class Host(models.Model):
    """A callback's host that does not answer; all workers share what they know of it.

    `began` is when the last exchange that failed was begun; nobody is to try before `retry_at`.
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
    """A number that only grows, which all workers add to: how many of `name` were `label`."""

    name = models.TextField()
    label = models.TextField()
    value = models.FloatField()

    class Meta:
        db_table = "pubsubpull_counter"
        constraints = (models.UniqueConstraint(fields=["name", "label"], name="pubsubpull_counter_label"),)

    def __str__(self) -> str:
        return f"{self.name} {self.label}"


class Sample(models.Model):
    """How far the log and its delivery had come at a moment: two of them make a rate.

    `captured` is the last version, `delivered` a count of changes that only grows, `bytes` the log's size. `details`
    has the rows written of each captured table, and the changes delivered of each subscription; the latest samples
    alone have it.
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
    """A key pair of the service, the private half encrypted. It signs until `until`."""

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
    """A cursor that is pushed on: where a consumer's callback is, and how it fares.

    `cursor` is where delivery goes on, `told` the cursor that the receiver was last given: they differ while only
    changes pass that the subscription does not want. `initial` says how far the rows have come that go before all
    changes. `lease` grows each time the subscription changes hands or is changed: a worker whose number is old may
    write nothing. `consented` is the callback whose receiver has consented.
    """

    class State(models.TextChoices):
        """How delivery fares."""

        UNVERIFIED = "unverified"
        ACTIVE = "active"
        PAUSED = "paused"
        FAILING = "failing"
        DISABLED = "disabled"
        UNSUBSCRIBED = "unsubscribed"
        LAPSED = "lapsed"

    class OnFailure(models.TextChoices):
        """What becomes of a change that its receiver does not take."""

        BLOCK = "block"
        SET_ASIDE = "set-aside"

    class Format(models.TextChoices):
        """How notifications are written."""

        PAGE = formats.PAGE
        CLOUDEVENTS = formats.CLOUDEVENTS

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    consumer = models.ForeignKey("pubsubpull.Consumer", on_delete=models.CASCADE, related_name="subscriptions")
    name = models.TextField()
    callback = models.TextField()
    verify = models.BooleanField(default=False)
    consented = models.TextField(default="")
    wanted = models.JSONField()
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
    told = models.TextField()
    initial = models.TextField(default="")
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
        """Take other options, and forget what the receiver said, or the rate came to, where that holds no more."""
        if self.callback != options["callback"]:
            self.consented, self.allowed_rate, self.free_at = "", None, None
        if self.max_rate != options["max_rate"]:
            self.free_at = None
        for name, value in options.items():
            setattr(self, name, value)


SERVED = frozenset({Subscription.State.UNVERIFIED, Subscription.State.ACTIVE, Subscription.State.FAILING})
"""The states of a subscription that is delivered to; of any other, its worker lets go."""


class Failure(models.Model):
    """A change that its receiver did not take, kept whole: delivery has gone on without it.

    `attempts` counts the refusals, `tried`, `status`, `answer` (the beginning of its body) and `error` are of the last
    one. `wanted` says that its consumer asks for another attempt.
    """

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="failures")
    version = models.BigIntegerField()
    model = models.TextField()
    op = models.TextField()
    item = models.TextField()
    set_aside = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField()
    tried = models.DateTimeField(db_default=Now())
    status = models.IntegerField(null=True)
    answer = models.TextField(default="")
    error = models.TextField()
    wanted = models.BooleanField(default=False)

    class Meta:
        db_table = "pubsubpull_failure"
        constraints = (models.UniqueConstraint(fields=["subscription", "version"], name="pubsubpull_failure_version"),)
        indexes = (
            models.Index(fields=["subscription"], name="pubsubpull_failure_wanted", condition=models.Q(wanted=True)),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.version}"
