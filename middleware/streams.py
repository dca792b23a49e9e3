"""Answers that are made while they are sent: their changes belong to the request too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import StreamingHttpResponse

from pubsubpull.audit.context import context as audit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pubsubpull.audit.context.context import Context

END = object()


def keep(response: Any, made: Context) -> None:
    """Let a streaming response's iterator run within the context; leave any other response alone.

    A file that the server itself sends is one of those: it runs no code of the application's.
    """
    if not isinstance(response, StreamingHttpResponse) or getattr(response, "file_to_stream", None) is not None:
        return
    if response.is_async:
        response.streaming_content = _later(aiter(response.streaming_content), made)  # type: ignore[arg-type]
    else:
        response.streaming_content = _now(iter(response.streaming_content), made)  # type: ignore[arg-type]


def _now(chunks: Iterator[Any], made: Context) -> Iterator[Any]:
    while True:
        with audit.entered(made):
            chunk = next(chunks, END)
        if chunk is END:
            return
        yield chunk


async def _later(chunks: AsyncIterator[Any], made: Context) -> AsyncIterator[Any]:
    while True:
        with audit.entered(made):
            chunk = await anext(chunks, END)
        if chunk is END:
            return
        yield chunk
