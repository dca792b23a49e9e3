"""How far replicas have got, and the copies that are being made."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from pubsubpull.wire import jsontext


class ReplicaState(models.Model):
    """A replica's position: its cursor moves in the transaction that applies a page.

    Replicas of one service that are at the same cursor move together. A replica that fails waits by itself.
    """

    class State(models.TextChoices):
        """What the replica does."""

        COPYING = "copying"
        FOLLOWING = "following"
        FAILING = "failing"

    name = models.TextField(primary_key=True)
    """The name of the effect: a local model's label, or that of handlers on their own."""
    service = models.TextField()
    """The service that has the source."""
    source = models.TextField()
    """The model that it follows."""
    state = models.TextField(choices=State, default=State.COPYING)
    """What it does, for a person."""
    cursor = models.TextField(default="")
    """The cursor after the last page that it applied; empty before the first copy."""
    shape = models.TextField(default="")
    """The digest of the declaration by which its rows were copied; empty if they are to be copied."""
    absent = models.JSONField(default=list)
    """The columns that its source was seen not to send."""
    attempts = models.IntegerField(default=0)
    """How often it has failed on what comes next."""
    failing_since = models.DateTimeField(null=True)
    """When it failed first on what comes next."""
    next_attempt = models.DateTimeField(null=True)
    """Until when it waits after a failure."""
    last_error = models.TextField(default="")
    """Why it failed last."""
    applied = models.DateTimeField(null=True)
    """When it applied the last page."""

    class Meta:
        db_table = "pubsubpull_replica"
        ordering = ("name",)
        indexes = (models.Index(fields=["service"], name="pubsubpull_replica_service"),)

    def __str__(self) -> str:
        return self.name


class Parked(models.Model):
    """A change that a replica could not take, or a later change of the same key.

    While a key has parked changes, its further changes wait here as well, in order; those of other keys go on.
    """

    replica = models.TextField()
    """The replica's name."""
    key = models.TextField()
    """The key of the row."""
    version = models.BigIntegerField()
    """The version of the change."""
    item = models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder)
    """The change as it came."""
    error = models.TextField()
    """Why it could not be taken; empty for the later changes of a key."""
    since = models.DateTimeField()
    """When it was parked."""
    passed = models.BooleanField()
    """True once the replica's cursor is behind it."""
    done = models.BooleanField()
    """True if it was retried or dropped before it was passed: its page is applied without it."""

    class Meta:
        db_table = "pubsubpull_parked"
        ordering = ("replica", "version")
        constraints = (models.UniqueConstraint(fields=["replica", "version"], name="pubsubpull_parked_once"),)

    def __str__(self) -> str:
        return f"{self.replica} {self.key} {self.version}"


class Copy(models.Model):
    """All rows of some models of a service, being fetched: kept apart until they are whole, then applied at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    service = models.TextField(unique=True)
    """The service that has the models; a dump that is loaded has a name of its own here."""
    sources = models.JSONField()
    """The models whose rows are copied."""
    followed = models.JSONField()
    """The models whose changes are fetched."""
    began = models.TextField()
    """The cursor of the replicas when the copy began; empty if they had none."""
    cursor = models.TextField()
    """The cursor before the first row; it moves on with the changes that are fetched after the last row."""
    whole = models.BooleanField(default=False)
    """True once all is fetched that makes one state of the source."""
    started = models.DateTimeField(db_default=Now())
    """When the copy began."""

    class Meta:
        db_table = "pubsubpull_copy"

    def __str__(self) -> str:
        return f"{self.service} {self.sources}"


class CopyRange(models.Model):
    """A range of a model's keys."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="ranges")
    """The copy that it is of."""
    source = models.TextField()
    """The model."""
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    """The key up to which it is fetched; None at the first key of all."""
    until = models.TextField(null=True)  # noqa: DJ001
    """The last key; None for the last key of all."""
    rows = models.BigIntegerField(default=0)
    """How many rows have been fetched."""
    expected = models.BigIntegerField(default=0)
    """About how many rows there are."""
    done = models.BooleanField(default=False)
    """True once all are fetched."""

    class Meta:
        db_table = "pubsubpull_copy_range"

    def __str__(self) -> str:
        return f"{self.source} {self.at} to {self.until}"


class CopyPage(models.Model):
    """A page of a copy, kept as it came."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="pages")
    """The copy that it is of."""
    source = models.TextField(default="")
    """The model whose rows it has; empty if it has changes."""
    body = models.TextField()
    """The page's text."""

    class Meta:
        db_table = "pubsubpull_copy_page"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.source or 'changes'} {self.pk}"


class PullJob(models.Model):
    """A job that calls a task once for each instance of a model."""

    name = models.TextField(primary_key=True)
    """The job's name."""
    service = models.TextField()
    """The service that has the model."""
    source = models.TextField()
    """The model."""
    callback = models.TextField()
    """The path of the task."""
    callback_kwargs = models.JSONField(default=dict)
    """The task's further arguments."""
    ops = models.JSONField(default=list)
    """The operations that it calls for."""
    pull_priority = models.IntegerField(default=0)
    """The priority of the job's own steps."""
    job_priority = models.IntegerField(default=0)
    """The priority of the task."""
    up = models.BooleanField()
    """True if it calls for instances that come from now on."""
    down = models.BooleanField()
    """True while it calls for instances that existed before, from the highest key down."""
    cursor = models.TextField()
    """The cursor after the last changes that it has called for."""
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    """The key of the last instance that it has called for on its way down."""
    called = models.BigIntegerField(default=0)
    """How many tasks it has enqueued."""
    started = models.DateTimeField(db_default=Now())
    """When it began."""

    class Meta:
        db_table = "pubsubpull_pull_job"

    def __str__(self) -> str:
        return self.name


class PullKey(models.Model):
    """A key that came while its job was on its way down: the job does not call for it a second time."""

    job = models.ForeignKey(PullJob, on_delete=models.CASCADE, related_name="keys")
    key = models.TextField()

    class Meta:
        db_table = "pubsubpull_pull_key"
        constraints = (models.UniqueConstraint(fields=["job", "key"], name="pubsubpull_pull_key_once"),)

    def __str__(self) -> str:
        return self.key
