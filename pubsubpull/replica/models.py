"""How far replicas have got, and the copies that are being made."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Now

from pubsubpull.wire import jsontext


class ReplicaState(models.Model):
    """A replica's place: its cursor moves in the transaction that applies a page.

    Replicas of one service that stand at the same cursor move together. `shape` is the declaration that the rows were
    copied by, `absent` the columns that the source does not send. After a failure the replica waits until
    `next_attempt`, by itself.
    """

    class State(models.TextChoices):
        """What the replica does."""

        COPYING = "copying"
        FOLLOWING = "following"
        FAILING = "failing"

    name = models.TextField(primary_key=True)
    service = models.TextField()
    source = models.TextField()
    state = models.TextField(choices=State, default=State.COPYING)
    cursor = models.TextField(default="")
    shape = models.TextField(default="")
    absent = models.JSONField(default=list)
    attempts = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    next_attempt = models.DateTimeField(null=True)
    last_error = models.TextField(default="")
    applied = models.DateTimeField(null=True)

    class Meta:
        db_table = "pubsubpull_replica"
        ordering = ("name",)
        indexes = (models.Index(fields=["service"], name="pubsubpull_replica_service"),)

    def __str__(self) -> str:
        return self.name


class Parked(models.Model):
    """A change that a replica was told to pass, or one of the same key that came after it. `error` is of the first.

    While a key has some, its changes wait here, in order, and those of other keys go on. It is `passed` once the
    replica stands behind it; one that is `done` before that is kept only to be left out when its page is applied.
    """

    replica = models.TextField()
    key = models.TextField()
    version = models.BigIntegerField()
    item = models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder)
    error = models.TextField()
    since = models.DateTimeField()
    passed = models.BooleanField()
    done = models.BooleanField()

    class Meta:
        db_table = "pubsubpull_parked"
        ordering = ("replica", "version")
        constraints = (models.UniqueConstraint(fields=["replica", "version"], name="pubsubpull_parked_once"),)

    def __str__(self) -> str:
        return f"{self.replica} {self.key} {self.version}"


class Copy(models.Model):
    """All rows of some models of a service, being fetched: kept apart until they are whole, then applied at once.

    `sources` are the models whose rows are copied, `followed` those whose changes are. `cursor` was taken before the
    first row, or is where the replicas stood (`began`), and moves on with the changes that are fetched after the last,
    until the copy is `whole`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    service = models.TextField(unique=True)
    sources = models.JSONField()
    followed = models.JSONField()
    began = models.TextField()
    cursor = models.TextField()
    whole = models.BooleanField(default=False)
    started = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "pubsubpull_copy"

    def __str__(self) -> str:
        return f"{self.service} {self.sources}"


class CopyRange(models.Model):
    """A range of a model's keys: fetched up to `at`, to go on to `until`; None is the beginning and the end."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="ranges")
    source = models.TextField()
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    until = models.TextField(null=True)  # noqa: DJ001
    rows = models.BigIntegerField(default=0)
    expected = models.BigIntegerField(default=0)
    done = models.BooleanField(default=False)

    class Meta:
        db_table = "pubsubpull_copy_range"

    def __str__(self) -> str:
        return f"{self.source} {self.at} to {self.until}"


class CopyPage(models.Model):
    """A page as it came: of rows of `source`, or of changes where that is empty."""

    copy = models.ForeignKey(Copy, on_delete=models.CASCADE, related_name="pages")
    source = models.TextField(default="")
    body = models.TextField()

    class Meta:
        db_table = "pubsubpull_copy_page"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.source or 'changes'} {self.pk}"


class PullJob(models.Model):
    """A job that calls a task once for each instance of a model: those that come (`up`), those that are there (`down`).

    `ops` are the changes that it calls for, with `callback_kwargs`. `cursor` is where it stands in the changes, `at`
    the key of the last instance that it came to on its way down.
    """

    name = models.TextField(primary_key=True)
    service = models.TextField()
    source = models.TextField()
    callback = models.TextField()
    callback_kwargs = models.JSONField(default=dict)
    ops = models.JSONField(default=list)
    pull_priority = models.IntegerField(default=0)
    job_priority = models.IntegerField(default=0)
    up = models.BooleanField()
    down = models.BooleanField()
    cursor = models.TextField()
    at = models.TextField(null=True)  # noqa: DJ001  no text is a key, the empty one is
    called = models.BigIntegerField(default=0)
    started = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "pubsubpull_pull_job"

    def __str__(self) -> str:
        return self.name


class PullKey(models.Model):
    """A key that came while its job was on its way down: it is not to be called for once more."""

    job = models.ForeignKey(PullJob, on_delete=models.CASCADE, related_name="keys")
    key = models.TextField()

    class Meta:
        db_table = "pubsubpull_pull_key"
        constraints = (models.UniqueConstraint(fields=["job", "key"], name="pubsubpull_pull_key_once"),)

    def __str__(self) -> str:
        return self.key
