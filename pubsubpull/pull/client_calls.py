"""Calls of another service with one bound on their time, all tries together, and one on the bytes of an answer."""

from __future__ import annotations

import contextlib
import contextvars
import email.utils
import http.client
import io
import random
import time
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from pubsubpull import exceptions

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

TRIES = 5
"""The number of tries before the last, after no answer and after 429, 502, 503 and 504. Each call may be repeated."""
RETRIED_STATUSES = {429, 502, 503, 504}
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 5.0
"""Seconds before the second try, and the most before any other; each wait is twice as long as the one before."""
PIECE = 1 << 16
"""Bytes that are unpacked at a time."""
LARGEST_ANSWER = 1 << 27
"""The default limit of an answer's size after unpacking: 128 MiB."""

_due: contextvars.ContextVar[float] = contextvars.ContextVar("_due", default=float("inf"))


class Bearer(requests.auth.AuthBase):
    """Sends a token."""

    # An object, not a header: requests would replace the header by the password of a `.netrc` file.
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token's header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Reader(io.RawIOBase):
    """Reads a socket until the call is due. Each wait for bytes is limited to the time that is left."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _due.get() - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        # Anew for each read: a service that sends a byte now and then would outlast a time-out that was set once.
        self._sock.settimeout(min(left, 3600.0))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Readable:
    """A socket as far as a response needs it: it makes a file."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock))


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(_Readable(sock), *args, **options)  # type: ignore[arg-type]  # it makes the file, no more


class _Plain(HTTPConnection):
    response_class = _Response


class _Secure(HTTPSConnection):
    response_class = _Response


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    """Makes connections whose reads end when the call is due."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _use_pools(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return _use_pools(super().proxy_manager_for(*args, **options))


def _use_pools(manager: Any) -> Any:
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return manager


def session(token: str) -> requests.Session:
    """Return a session that sends the token and follows no `.netrc`."""
    session_ = requests.Session()
    session_.auth = Bearer(token)
    for scheme in ("http://", "https://"):
        # No retries of urllib3: its waits would not count towards the time of the call.
        session_.mount(scheme, _Adapter(max_retries=0))
    return session_


def call(  # noqa: PLR0917  as requests has them
    session: requests.Session,
    method: str,
    address: str,
    timeout: float,
    largest: int,
    sleep: Callable[[float], object] = time.sleep,
    **options: Any,
) -> requests.Response:
    """Return the answer with its body read. All tries together take at most `timeout` seconds.

    Raises `requests.RequestException`, and `ServiceError` for an answer with more than `largest` bytes.
    """
    due = time.monotonic() + timeout
    with _until(due):
        for tried in range(TRIES):
            try:
                answer = _once(session, method, address, due, largest, **options)
                if answer.status_code not in RETRIED_STATUSES:
                    return answer
                pause = _pause(answer.headers, tried)
                # The answer tells the caller more than a time-out would.
                if time.monotonic() + pause >= due:
                    return answer
            except requests.ConnectionError:
                # No pause at first: the service may just have closed an idle connection.
                pause = _pause({}, tried) if tried else 0.0
                if time.monotonic() + pause >= due:
                    raise
            sleep(pause)
        return _once(session, method, address, due, largest, **options)


def _pause(headers: Mapping[str, str], tried: int) -> float:
    """Return the seconds until the next try: those of `Retry-After`, or a back-off that doubles with each try."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        # Nine digits are more than any call waits; more of them would be no float of use.
        return float(asked[:9])
    # A date counts from the answer's own: this machine's clock may be wrong. Headers that are no dates are ignored.
    with contextlib.suppress(ValueError, OverflowError):
        times = (email.utils.parsedate_to_datetime(text).timestamp() for text in (asked, headers.get("Date", "")))
        return max(0.0, next(times) - next(times))
    # Spread, so that clients that failed together do not come back together.
    wait: float = min(FIRST_BACKOFF * 2**tried, LONGEST_BACKOFF) * random.uniform(0.5, 1.5)  # noqa: S311  not for secrets
    return wait


def _once(
    session: requests.Session, method: str, address: str, due: float, largest: int, **options: Any
) -> requests.Response:
    left = max(0.001, due - time.monotonic())
    # A redirect would send the token to an address that nobody configured.
    answer = session.request(method, address, allow_redirects=False, timeout=left, stream=True, **options)
    with contextlib.closing(answer):
        body = bytearray()
        for piece in answer.iter_content(PIECE):
            body += piece
            # Counted while it is read: a small compressed answer may unpack to gigabytes.
            if len(body) > largest:
                raise exceptions.ServiceError(f"{address.partition('?')[0]} gave more than {largest} bytes.")
        answer._content = bytes(body)
    return answer


@contextlib.contextmanager
def _until(due: float) -> Any:
    token = _due.set(due)
    try:
        yield
    finally:
        _due.reset(token)
