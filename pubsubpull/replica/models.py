"""The stored state of replicas: positions, parked changes, unfinished copies and jobs."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from pubsubpull.wire import jsontext


class ReplicaState(models.Model):
    """The position of a replica. Its cursor moves in the transaction that applies a page."""

    class State(models.TextChoices):
        """The activity of a replica, for display."""

        COPYING = "copying"
        FOLLOWING = "following"
        FAILING = "failing"

    name = models.TextField(primary_key=True)
    """The name of the effect: a local model's label, or the name of handlers without a replica."""
    service = models.TextField()
    """The service of the source."""
    source = models.TextField()
    """The model that the effect follows."""
    state = models.TextField(choices=State, default=State.COPYING)
    """The activity, for display only: decisions read `cursor`, `shape` and `next_attempt`."""
    cursor = models.TextField(default="")
    """The cursor after the last applied page; empty before the first copy."""
    shape = models.TextField(default="")
    """The digest of the declaration at the time of the copy; empty if the rows must be copied."""
    absent = models.JSONField(default=list)
    """The replicated columns that the source was seen not to send."""
    attempts = models.IntegerField(default=0)
    """The number of failures on the next page."""
    failing_since = models.DateTimeField(null=True)
    """The time of the first failure on the next page; None if it has not failed."""
    next_attempt = models.DateTimeField(null=True)
    """The time of the next attempt after a failure."""
    last_error = models.TextField(default="")
    """The reason of the last failure."""
    applied = models.DateTimeField(null=True)
    """The time at which the last page was applied."""

    class Meta:
        db_table = "pubsubpull_replica"
        ordering = ("name",)
        indexes = (models.Index(fields=["service"], name="pubsubpull_replica_service"),)

    def __str__(self) -> str:
        return self.name


class Parked(models.Model):
    """A change that a replica failed to apply, or a later change of the same key.

    While a key has parked changes, its further changes are parked as well. Changes of other keys are applied.
    """

    replica = models.TextField()
    """The replica's name."""
    key = models.TextField()
    """The key of the row."""
    version = models.BigIntegerField()
    """The version of the change."""
    # The encoder and decoder of the wire keep every digit of a number.
    item = models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder)
    """The change, as the source sent it."""
    error = models.TextField()
    """The reason of the failure; empty for the later changes of the key."""
    since = models.DateTimeField()
    """The time at which the change was parked."""
    passed = models.BooleanField()
    """True once the replica's cursor has moved past the change."""
    done = models.BooleanField()
    """True if the change was retried or dropped before the cursor passed it: its page is then applied without it."""

    class Meta:
        db_table = "pubsubpull_parked"
        ordering = ("replica", "version")
        constraints = (models.UniqueConstraint(fields=["replica", "version"], name="pubsubpull_parked_once"),)

    def __str__(self) -> str:
        return f"{self.replica} {self.key} {self.version}"


class Copy(models.Model):
    """An unfinished copy of some models of a service: its rows are stored until it is whole, then applied at once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    # Unique: of two processes that begin a copy at the same moment, the second takes part in the first one's.
    service = models.TextField(unique=True)
    """The service of the models; for a loaded dump, `dump of` and the model."""
    sources = models.JSONField()
    """The models with rows to copy."""
    followed = models.JSONField()
    """The models with changes to fetch, which handlers may follow without rows."""
    began = models.TextField()
    """The cursor of the replicas at the start of the copy; empty if they had none."""
    cursor = models.TextField()
    """The cursor before the first row; later, the cursor after the last fetched changes."""
    whole = models.BooleanField(default=False)
    """True once the stored rows and changes make up one state of the source."""
    started = models.DateTimeField(db_default=Now())
    """The time at which the copy began."""

    class Meta:
        db_table = "pubsubpull_copy"

    def __str__(self) -> str:
        return f"{self.service} {self.sources}"


class CopyRange(models.Model):
    """A range of a model's keys, fetched by one worker."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="ranges")
    """The copy that the range belongs to."""
    source = models.TextField()
    """The model."""
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    """The last fetched key; None before the first key of the model."""
    until = models.TextField(null=True)  # noqa: DJ001
    """The last key of the range; None for the last key of the model."""
    rows = models.BigIntegerField(default=0)
    """The number of rows fetched so far."""
    expected = models.BigIntegerField(default=0)
    """The estimated number of rows."""
    done = models.BooleanField(default=False)
    """True once all rows are fetched."""

    class Meta:
        db_table = "pubsubpull_copy_range"

    def __str__(self) -> str:
        return f"{self.source} {self.at} to {self.until}"


class CopyPage(models.Model):
    """A page of a copy, stored as the source sent it."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="pages")
    """The copy that the page belongs to."""
    source = models.TextField(default="")
    """The model of its rows; empty for a page of changes."""
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
    """The service of the model."""
    source = models.TextField()
    """The model."""
    callback = models.TextField()
    """The dotted path of the task."""
    callback_kwargs = models.JSONField(default=dict)
    """Further keyword arguments of the task."""
    ops = models.JSONField(default=list)
    """The names of the operations for which the job enqueues the task."""
    pull_priority = models.IntegerField(default=0)
    """The priority of the job's own steps."""
    job_priority = models.IntegerField(default=0)
    """The priority of the task."""
    up = models.BooleanField()
    """True if the job handles changes from its start on."""
    down = models.BooleanField()
    """True while the job still handles instances from before its start, from the highest key down."""
    cursor = models.TextField()
    """The cursor after the last handled changes."""
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    """The key of the last handled instance on the way down."""
    called = models.BigIntegerField(default=0)
    """The number of tasks enqueued so far."""
    started = models.DateTimeField(db_default=Now())
    """The time at which the job began."""

    class Meta:
        db_table = "pubsubpull_pull_job"

    def __str__(self) -> str:
        return self.name


class PullKey(models.Model):
    """The key of an instance inserted while its job was on the way down, which must not handle it a second time."""

    job = models.ForeignKey(PullJob, on_delete=models.CASCADE, related_name="keys")
    """The job."""
    key = models.TextField()
    """The key of the instance, as text."""

    class Meta:
        db_table = "pubsubpull_pull_key"
        constraints = (models.UniqueConstraint(fields=["job", "key"], name="pubsubpull_pull_key_once"),)

    def __str__(self) -> str:
        return self.key
