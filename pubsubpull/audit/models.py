"""The requests that made changes."""

from __future__ import annotations

from django.db import models

from pubsubpull.log.readonly import ReadOnlyModel


class Request(ReadOnlyModel):
    """An HTTP request, command or job that made changes. The triggers write its row at its first change.

    The table has a row for each transaction of a request, so read one with `filter(pk=id).first()`, not with `get`.
    """

    id = models.UUIDField(primary_key=True)
    user_id = models.TextField(null=True)  # noqa: DJ001  no one known is not an empty name
    user_name = models.TextField(null=True)  # noqa: DJ001
    method = models.TextField(null=True)  # noqa: DJ001
    path = models.TextField(null=True)  # noqa: DJ001
    route = models.TextField(null=True)  # noqa: DJ001
    ip = models.TextField(null=True)  # noqa: DJ001
    user_agent = models.TextField(null=True)  # noqa: DJ001
    correlation_id = models.TextField(null=True)  # noqa: DJ001
    traceparent = models.TextField(null=True)  # noqa: DJ001
    tracestate = models.TextField(null=True)  # noqa: DJ001
    source = models.TextField()
    started = models.DateTimeField()
    duration = models.FloatField(null=True)
    status = models.IntegerField(null=True)
    metadata = models.JSONField(default=dict)

    class Meta:
        db_table = "pubsubpull_request"

    def __str__(self) -> str:
        return f"{self.source} {self.method or ''} {self.path or ''}".strip()
