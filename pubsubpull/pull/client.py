"""The client: another service's models, changes and subscriptions, over HTTP."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urljoin

import requests

from pubsubpull import exceptions
from pubsubpull.pull import client_calls, client_checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One change. In rows, numbers with a point are `Decimal`."""

    version: int
    """The id of the change. For one key, a higher version is a later state."""
    transaction: str
    """The id of the transaction that wrote it."""
    model: str
    """The label of the model."""
    key: str | None
    """The key of the row; None for a truncate and an uncaptured."""
    op: str
    """The operation: insert, update, delete, truncate, uncaptured or event."""
    at: str
    """The time, in ISO 8601."""
    request: str | None
    """The id of the request that caused it."""
    old: dict[str, Any] | None
    """The row before."""
    new: dict[str, Any] | None
    """The row after, or an event's data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """A page of changes."""

    items: tuple[Change, ...]
    cursor: str
    """The cursor after the changes."""
    more: bool
    """True if the log had further changes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """A row in its present state."""

    key: str
    version: int
    """At least the version of each change that the row contains, and below that of each later change."""
    data: dict[str, Any]
    """The row's columns by name."""


class Instances:
    """The rows of a model. Each page is fetched as the iteration reaches it."""

    cursor: str
    """The cursor from which to go on with the changes. It was taken before the first page."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        # At once, not with the iteration: `cursor` has to be there before the first row is used.
        self._first = client.get(url)
        self.cursor = self._first["cursor"]

    def __iter__(self) -> Iterator[Instance]:
        page = self._first
        while True:
            for item in page["items"]:
                yield Instance(**item)
            if page["next"] is None:
                return
            page = self._client.get(page["next"])


class Client:
    """Calls the pubsubpull API of another service.

    `url` is the address of the API, and `token` the token that the other service gave. `timeout` bounds each call, in
    seconds: all its tries, the waits between them that the service asks for, and the answer up to its last byte.
    `largest` bounds an answer, in bytes after unpacking. `models` of a call is a list of labels, or a single label.
    Each error is a `pubsubpull.exceptions.ServiceError` or `CursorExpired`.
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = 30.0, largest: int = client_calls.LARGEST_ANSWER
    ) -> None:
        self.url = client_checks.base(url)
        self.timeout = timeout
        self.largest = largest
        self._session = client_calls.session(client_checks.sendable(token))

    def __repr__(self) -> str:
        return f"<Client {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def service(self) -> dict[str, Any]:
        """Return the models that the service publishes for this consumer."""
        return self.get("")

    def instances(self, model: str, *, limit: int | None = None) -> Instances:
        """Return all rows of a model. Pull the changes after its `cursor` afterwards."""
        return Instances(self, f"models/{quote(model)}/instances/" + ("" if limit is None else f"?limit={limit}"))

    def instance(self, model: str, key: str) -> Instance:
        """Return one row. Raises `RequestRefused` with status 404 if there is none."""
        return Instance(**self.get(f"models/{quote(model)}/instances/{quote(key, safe='')}/"))

    def changes(
        self,
        models: Iterable[str] | str | None = None,
        after: str | None = None,
        *,
        limit: int | None = None,
        wait: float = 0,
        old: bool = True,
    ) -> Page:
        """Return the page of changes after a cursor: None is the log's start, and `now` the present.

        The service may hold the call for up to `wait` seconds until there are changes. With `old=False`, updates have
        no row before.
        """
        params = {
            "models": None if models is None else ",".join(client_checks.labels(models)),
            "after": after,
            "limit": limit,
        }
        more = ({"wait": wait} if wait else {}) | ({} if old else {"old": "false"})
        # The wait comes on top: the service holds the call for that long, and only then is it slow.
        page = self.get("changes/", params=params | more, timeout=self.timeout + wait)
        items = tuple(Change(**item) for item in page["items"])
        return Page(items=items, cursor=page["cursor"], more=page["more"])

    def follow(
        self,
        models: Iterable[str] | str | None = None,
        after: str | None = None,
        *,
        limit: int | None = None,
        wait: float = 30,
        old: bool = True,
    ) -> Iterator[Page]:
        """Yield page after page of changes, without end, as they come. Pages without changes are left out.

        Store each page's `cursor` in the transaction that stores your results, and begin with it the next time.
        """
        # A list, as an iterator of labels would be empty from the second call on.
        models = None if models is None else client_checks.labels(models)
        while True:
            page = self.changes(models, after, limit=limit, wait=wait, old=old)
            after = page.cursor
            if page.items:
                yield page

    def audit(self, model: str, key: str, *, limit: int = 100) -> Iterator[dict[str, Any]]:
        """Yield the trail of one object, newest first."""
        url: str | None = f"models/{quote(model)}/audit/{quote(key, safe='')}/?limit={limit}"
        while url is not None:
            page = self.get(url)
            yield from page["items"]
            url = page["next"]

    def request(self, request_id: str) -> dict[str, Any]:
        """Return a request and its changes."""
        return self.get(f"requests/{quote(request_id)}/")

    def subscribe(self, name: str, callback: str, models: Iterable[str] | str, **options: Any) -> dict[str, Any]:
        """Create or replace a subscription, and return it. Only the answer of its creation has the secret.

        `options` are members of the resource, as `ops`, `batch`, `after`, `instances`, `secret`, `paused`, `verify`,
        `format`.
        """
        body = {"callback": callback, "models": client_checks.labels(models), **options}
        return self._call("PUT", f"subscriptions/{quote(name, safe='')}/", json=body)

    def unsubscribe(self, name: str) -> None:
        """Delete a subscription."""
        self._call("DELETE", f"subscriptions/{quote(name, safe='')}/")

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return this consumer's subscriptions and their state."""
        subscriptions: list[dict[str, Any]] = []
        url: str | None = "subscriptions/"
        while url is not None:
            page = self.get(url)
            subscriptions, url = subscriptions + page["items"], page["next"]
        return subscriptions

    def subscription(self, name: str) -> dict[str, Any]:
        """Return one subscription and its state."""
        return self.get(f"subscriptions/{quote(name, safe='')}/")

    def get(self, url: str, **options: Any) -> dict[str, Any]:
        """GET a path below the API, or a link of one of its answers; return the answer's body."""
        return self._call("GET", url, **options)

    def text(self, url: str, **options: Any) -> str:
        """GET as `get` does; return the body as text, in which PostgreSQL's numbers keep each digit."""
        answer = self._answer("GET", url, **options)
        # Any other status is an error, which `result` raises.
        if answer.status_code != 200:
            client_checks.result(answer)
        try:
            return answer.content.decode()
        except UnicodeDecodeError as error:
            raise exceptions.ServiceError(f"{self.url} gave an answer that is not text in UTF-8.") from error

    def _call(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        return client_checks.result(self._answer(method, url, **options))

    def _answer(self, method: str, url: str, **options: Any) -> requests.Response:
        address = urljoin(self.url, url)
        # A link of an answer, or a key with `//` in it, may lead to another host.
        if not address.startswith(self.url):
            raise exceptions.ServiceError(f"{address} is not below {self.url}: the token is not sent there.")
        options.setdefault("timeout", self.timeout)
        try:
            return client_calls.call(self._session, method, address, largest=self.largest, **options)
        except requests.RequestException as error:
            raise exceptions.Unavailable(f"{self.url} does not answer: {type(error).__name__}.") from error
