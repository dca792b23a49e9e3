"""The change log's tables as models. Capture functions write them; nobody else needs a right on them."""

from __future__ import annotations

from django.db import models

from pubsubpull.log.readonly import ReadOnlyModel
from pubsubpull.wire import jsontext, ops


class Change(ReadOnlyModel):
    """One change of the log. Its id is the version: for one key, a higher one is always the later state."""

    class Op(models.TextChoices):
        """What happened. A truncate is one change for the whole table and has no key.

        So is an uncaptured: in its transaction rows of the model may have changed without changes.

        Of an erased change nothing is left but that it was; the feed passes it by. Of an erased delete the key is left
        too, as `old`; to readers of the feed it is a delete.
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
    """What is known of the log as a whole; one row."""

    restored = models.BigIntegerField(primary_key=True)
    settled = models.BigIntegerField()
    dropped = models.BigIntegerField()

    class Meta:
        db_table = "pubsubpull_log"

    def __str__(self) -> str:
        return f"settled up to {self.settled}"


class History(ReadOnlyModel):
    """One history of the log: it begins with a start of the server, after the tick `after` of the history before."""

    token = models.BigIntegerField(primary_key=True)
    after = models.BigIntegerField()
    began = models.DateTimeField()

    class Meta:
        db_table = "pubsubpull_history"

    def __str__(self) -> str:
        return f"history {self.token}"
