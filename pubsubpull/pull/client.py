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
    """One change. `op` is insert, update or delete, or truncate or uncaptured, which have no key.

    Numbers with a point are Decimal.
    """

    version: int
    transaction: str
    model: str
    key: str | None
    op: str
    at: str
    request: str | None
    old: dict[str, Any] | None
    new: dict[str, Any] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Some changes, the cursor after them, and whether there were more."""

    items: tuple[Change, ...]
    cursor: str
    more: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instance:
    """A row as it is. `version` compares with those of changes: none that is in the row is higher, each to come is."""

    key: str
    version: int
    data: dict[str, Any]


class Instances:
    """All rows of a model, page by page as they are iterated over. `cursor` is that of the changes to go on with."""

    def __init__(self, client: Client, url: str) -> None:
        self._client = client
        self._first = client.get(url)
        self.cursor: str = self._first["cursor"]

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
        """Let go of the connections."""
        self._session.close()

    def service(self) -> dict[str, Any]:
        """Return the models that the service publishes for this consumer."""
        return self.get("")

    def instances(self, model: str, *, limit: int | None = None) -> Instances:
        """Return all rows of a model; its `cursor` is the place to pull changes from afterwards."""
        return Instances(self, f"models/{quote(model)}/instances/" + ("" if limit is None else f"?limit={limit}"))

    def instance(self, model: str, key: str) -> Instance:
        """Return one row. Raises `RequestRefused` with status 404 where there is none."""
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
        """Return a page of changes after a cursor: from the log's start without one, the present with `now`.

        `wait` is how many seconds the service may hold the call until there is something. Without `old`, updates come
        without the row before.
        """
        params = {
            "models": None if models is None else ",".join(client_checks.labels(models)),
            "after": after,
            "limit": limit,
        }
        more = ({"wait": wait} if wait else {}) | ({} if old else {"old": "false"})
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
        """Give page after page of changes, without end, as they come; pages without a change are left out.

        Store each page's `cursor` in the transaction that stores your results, and begin with it the next time.
        """
        models = None if models is None else client_checks.labels(models)
        while True:
            page = self.changes(models, after, limit=limit, wait=wait, old=old)
            after = page.cursor
            if page.items:
                yield page

    def audit(self, model: str, key: str, *, limit: int = 100) -> Iterator[dict[str, Any]]:
        """Give the trail of one object, newest first."""
        url: str | None = f"models/{quote(model)}/audit/{quote(key, safe='')}/?limit={limit}"
        while url is not None:
            page = self.get(url)
            yield from page["items"]
            url = page["next"]

    def request(self, request_id: str) -> dict[str, Any]:
        """Return a request and its changes."""
        return self.get(f"requests/{quote(request_id)}/")

    def subscribe(self, name: str, callback: str, models: Iterable[str] | str, **options: Any) -> dict[str, Any]:
        """Make or replace a subscription; the answer holds its secret when it is made.

        `options` are those of the resource, as `ops`, `batch`, `after`, `instances`, `secret`, `paused`, `verify`,
        `format`.
        """
        body = {"callback": callback, "models": client_checks.labels(models), **options}
        return self._call("PUT", f"subscriptions/{quote(name, safe='')}/", json=body)

    def unsubscribe(self, name: str) -> None:
        """Delete a subscription."""
        self._call("DELETE", f"subscriptions/{quote(name, safe='')}/")

    def subscriptions(self) -> list[dict[str, Any]]:
        """Return this consumer's subscriptions and how they fare."""
        subscriptions: list[dict[str, Any]] = []
        url: str | None = "subscriptions/"
        while url is not None:
            page = self.get(url)
            subscriptions, url = subscriptions + page["items"], page["next"]
        return subscriptions

    def subscription(self, name: str) -> dict[str, Any]:
        """Return one subscription and how it fares."""
        return self.get(f"subscriptions/{quote(name, safe='')}/")

    def get(self, url: str, **options: Any) -> dict[str, Any]:
        """GET a path below the API, or a link that the API gave."""
        return self._call("GET", url, **options)

    def text(self, url: str, **options: Any) -> str:
        """GET as `get` does, and return the body as it came: PostgreSQL's own JSON."""
        answer = self._answer("GET", url, **options)
        if answer.status_code != 200:
            client_checks.result(answer)
        try:
            return answer.content.decode()
        except UnicodeDecodeError as error:
            raise exceptions.ServiceError(f"{self.url} gave what is no text in UTF-8.") from error

    def _call(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        return client_checks.result(self._answer(method, url, **options))

    def _answer(self, method: str, url: str, **options: Any) -> requests.Response:
        address = urljoin(self.url, url)
        if not address.startswith(self.url):
            raise exceptions.ServiceError(f"{address} is not below {self.url}: the token is not sent there.")
        options.setdefault("timeout", self.timeout)
        try:
            return client_calls.call(self._session, method, address, largest=self.largest, **options)
        except requests.RequestException as error:
            raise exceptions.Unavailable(f"{self.url} does not answer: {type(error).__name__}.") from error
