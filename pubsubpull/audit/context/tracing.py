"""W3C Trace Context (https://www.w3.org/TR/trace-context/): the trace that a change belongs to."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest

PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
"""`traceparent`: version, trace id, parent id and flags, and in later versions more."""
STATE = re.compile(r"[\x20-\x7e]{1,512}")
"""`tracestate`: up to 512 printable ASCII characters."""

logger = logging.getLogger("pubsubpull")


def asked(request: HttpRequest) -> dict[str, str]:
    """Return the valid ones of the caller's headers `traceparent` and `tracestate`."""
    return checked(request.headers.get("traceparent", ""), request.headers.get("tracestate", ""))


def checked(parent: str, state: str) -> dict[str, str]:
    """Return `traceparent` and `tracestate` as far as they are valid; empty without a valid `traceparent`."""
    match = PARENT.fullmatch(parent.strip())
    if match is None or (match[1] == "00" and match[5]):
        return {}
    # The specification has later versions passed on as version 00, with only the parts that it defines.
    trace = {"traceparent": f"00-{match[2]}-{match[3]}-{match[4]}"}
    state = state.strip()
    return {**trace, "tracestate": state} if STATE.fullmatch(state) else trace


def active() -> dict[str, str | None]:
    """Return the current span of OpenTelemetry as `traceparent` and `tracestate`; empty if there is none."""
    # Never imported here: an application that does not use OpenTelemetry should not pay for it.
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    try:
        span = trace.get_current_span().get_span_context()
        parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags) & 0xFF:02x}"
        headers = checked(parent, span.trace_state.to_header())
    # A write of the application must not fail because its tracing does.
    except Exception as error:  # noqa: BLE001
        logger.warning("pubsubpull: the trace of a change cannot be read: %s", type(error).__name__)
        return {}
    # None overrides the state that the request brought: it belongs to another parent.
    return {"tracestate": None, **headers} if headers else {}
