"""The change log's tables as models. Only capture functions write them, so that no role needs a right to."""

from __future__ import annotations

from django.db import models

from pubsubpull.log.readonly import ReadOnlyModel
from pubsubpull.wire import jsontext, ops


class Change(ReadOnlyModel):
    """One change of the log. Its id is the version: for one key, a higher version is always a later state."""

    class Op(models.TextChoices):
        """The operation of a change.

        A truncate and an uncaptured are about the whole table and have no key. An uncaptured says that rows of the
        model may have changed in its transaction without changes of their own.

        An erased change has lost its values and its key; the feed skips it. An erased delete keeps the key in `old`,
        and is a delete to readers of the feed.
        """

        INSERT = ops.INSERT.letter, ops.INSERT.label
        UPDATE = ops.UPDATE.letter, ops.UPDATE.label
        DELETE = ops.DELETE.letter, ops.DELETE.label
        TRUNCATE = ops.TRUNCATE.letter, ops.TRUNCATE.label
        UNCAPTURED = ops.UNCAPTURED.letter, ops.UNCAPTURED.label
        EVENT = ops.EVENT.letter, ops.EVENT.label
        ERASE = ops.ERASE.letter, ops.ERASE.label
        ERASED_DELETE = ops.ERASED_DELETE.letter, ops.ERASED_DELETE.label

    id = models.BigIntegerField(primary_key=True)
    xid = models.TextField()
    at = models.DateTimeField()
    model = models.TextField()
    op = models.CharField(max_length=1, choices=Op)
    key = models.TextField(null=True)  # noqa: DJ001  a truncate and an uncaptured have none
    request_id = models.UUIDField(null=True)
    old = models.JSONField(null=True, encoder=jsontext.Encoder, decoder=jsontext.Decoder)
    new = models.JSONField(null=True, encoder=jsontext.Encoder, decoder=jsontext.Decoder)

    class Meta:
        db_table = "pubsubpull_change"
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.id} {self.get_op_display()} {self.model} {self.key}"


class Log(ReadOnlyModel):
    """The state of the log as a whole: one row."""

    restored = models.BigIntegerField(primary_key=True)
    settled = models.BigIntegerField()
    dropped = models.BigIntegerField()

    class Meta:
        db_table = "pubsubpull_log"

    def __str__(self) -> str:
        return f"settled up to {self.settled}"


class History(ReadOnlyModel):
    """One history of the log. It begins with a start of the server, after the tick `after` of the history before."""

    token = models.BigIntegerField(primary_key=True)
    after = models.BigIntegerField()
    began = models.DateTimeField()

    class Meta:
        db_table = "pubsubpull_history"

    def __str__(self) -> str:
        return f"history {self.token}"
