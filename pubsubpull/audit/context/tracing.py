"""The trace that a request belongs to, as W3C Trace Context has it (https://www.w3.org/TR/trace-context/)."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest

PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
STATE = re.compile(r"[\x20-\x7e]{1,512}")

logger = logging.getLogger("pubsubpull")


def asked(request: HttpRequest) -> dict[str, str]:
    """Return `traceparent` and `tracestate` as the caller sent them, nothing where they are none."""
    return checked(request.headers.get("traceparent", ""), request.headers.get("tracestate", ""))


def checked(parent: str, state: str) -> dict[str, str]:
    """Return what is sound of a trace; the state is nothing without the parent."""
    found = PARENT.fullmatch(parent.strip())
    if found is None or (found[1] == "00" and found[5]):
        return {}
    # Of a later version only these parts are known, and so it is passed on as the first one.
    known = {"traceparent": f"00-{found[2]}-{found[3]}-{found[4]}"}
    state = state.strip()
    return {**known, "tracestate": state} if STATE.fullmatch(state) else known


def active() -> dict[str, str | None]:
    """Return the span that OpenTelemetry has open here, nothing where there is none. The state is its own."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    try:
        span = trace.get_current_span().get_span_context()
        parent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags) & 0xFF:02x}"
        found = checked(parent, span.trace_state.to_header())
    except Exception as error:  # noqa: BLE001  no write may fail for this
        logger.warning("pubsubpull: the trace of a change cannot be read: %s", type(error).__name__)
        return {}
    return {"tracestate": None, **found} if found else {}
