"""Streaming responses: the changes that their iterators make belong to the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import StreamingHttpResponse

from pubsubpull.audit.context import contexts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pubsubpull.audit.context.contexts import Context

END = object()


def keep(response: Any, context: Context) -> None:
    """Run the iterator of a streaming response within the context. Other responses stay unchanged."""
    # A file that the server sends by itself runs no code of the application's, and needs to stay a file.
    if not isinstance(response, StreamingHttpResponse) or getattr(response, "file_to_stream", None) is not None:
        return
    if response.is_async:
        response.streaming_content = _chunks_async(aiter(response.streaming_content), context)  # type: ignore[arg-type]
    else:
        response.streaming_content = _chunks(iter(response.streaming_content), context)  # type: ignore[arg-type]


def _chunks(chunks: Iterator[Any], context: Context) -> Iterator[Any]:
    while True:
        # Entered for each chunk alone: between two of them the server's thread may serve other requests.
        with contexts.entered(context):
            chunk = next(chunks, END)
        if chunk is END:
            return
        yield chunk


async def _chunks_async(chunks: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
    while True:
        # Entered for each chunk alone, as in `_chunks`.
        with contexts.entered(context):
            chunk = await anext(chunks, END)
        if chunk is END:
            return
        yield chunk
