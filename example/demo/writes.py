"""Real writes in the usual ways; every function returns how many changes it has committed."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import requests

from example.demo import sql

if TYPE_CHECKING:
    from collections.abc import Callable

HTTP_CLIENTS = 4
CLIENTS = 4
ROLLED_BACK = 0.1
"""The share of a client's transactions that are taken back before they are committed."""


class Caller:
    """A user of the shop's API."""

    def __init__(self, shop: str, token: str) -> None:
        self._shop = shop
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between us and the loopback address
        self._session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None) -> int:
        """Make a call; return the id of the new object, 0 for none."""
        answer = self._session.request(method, self._shop + path, json=body, timeout=30)
        if not answer.ok:
            raise requests.HTTPError(f"it answered {method} {path} with {answer.status_code}")
        return int(answer.json()["id"]) if answer.content else 0


def place_order(anna: Caller, ben: Caller, number: int) -> tuple[int, int]:
    """Anna takes an order of a new customer, Ben sends it off; the order, and how many changes that was."""
    customer = anna("POST", "/customers/", {"name": f"Customer {number}", "city": "Aarhus"})
    items = [{"article": "cup", "quantity": 2, "price": "7.50"}, {"article": "pot", "quantity": 1, "price": "24.00"}]
    order = {"customer": customer, "reference": f"WEB-{number}", "card": "4111 1111 1111 1111", "items": items}
    made = anna("POST", "/orders/", order)
    ben("PUT", f"/orders/{made}/", {"status": "sent"})
    return made, 1 + 1 + len(items) + 1


def over_http(shop: str, tokens: list[str], orders: int) -> tuple[int, int]:
    """Place orders from several clients at once, and delete every fourth; the first order, and how many changes."""

    def client(first: int) -> tuple[int, int]:
        anna, ben = (Caller(shop, token) for token in tokens)
        changes = kept = 0
        for number in range(first, orders, HTTP_CLIENTS):
            order, more = place_order(anna, ben, number + 1)
            changes += more
            kept = kept or order
            if number % 16 >= 12:
                ben("DELETE", f"/orders/{order}/")
                changes += 3  # the order and, with it, its two items
        return kept, changes

    made = _at_once(client, range(HTTP_CLIENTS))
    return made[0][0], sum(changes for _, changes in made)


def by_sql(url: str, order: int, count: int) -> int:
    """Insert, update and delete with plain statements; take one insert back; correct one order by hand."""
    changes = 0
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("orders", "pay", "cancel"):
            changes += connection.execute(sql.read(name), {"count": count}).rowcount
        with connection.transaction(force_rollback=True):
            connection.execute(sql.read("orders"), {"count": count})
        changes += connection.execute(sql.read("correct"), {"order": order}).rowcount
    return changes


def by_copy(url: str, count: int) -> int:
    """Load items with COPY, in one transaction."""
    with psycopg.connect(url) as connection:
        orders = _orders(connection)
        with connection.cursor().copy(sql.read("copy")) as copy:
            for number in range(count):
                copy.write_row((orders[number % len(orders)], "sugar", 1 + number % 5, "0.80"))
    return count


def by_clients(url: str, seconds: float) -> int:
    """Make small transactions from several connections at once; some are rolled back."""
    with psycopg.connect(url) as connection:
        orders = _orders(connection)
    end = time.monotonic() + seconds

    def client(number: int) -> int:
        chance = random.Random(number)  # noqa: S311 - which order is bought is no secret
        changes = 0
        with psycopg.connect(url) as connection:
            while time.monotonic() < end:
                values = {"order": chance.choice(orders), "price": chance.randint(1, 9)}
                for name in ("order_one", "total_one"):
                    connection.execute(sql.read(name), values)
                if chance.random() < ROLLED_BACK:
                    connection.rollback()
                else:
                    connection.commit()
                    changes += 2
        return changes

    return sum(_at_once(client, range(CLIENTS)))


def _orders(connection: psycopg.Connection[Any]) -> list[int]:
    return list(itertools.chain.from_iterable(connection.execute(sql.read("order_ids"))))


def _at_once(work: Callable[[int], Any], arguments: range) -> list[Any]:
    """Do the work for each argument in a thread of its own, and raise the first error of any.

    They are daemons: Ctrl-C need not wait for them.
    """
    done: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()

    def run(argument: int) -> None:
        try:
            done.put(((argument, work(argument)), None))
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it again
            done.put((None, error))

    for argument in arguments:
        threading.Thread(target=run, args=[argument], daemon=True).start()
    results = {}
    for _ in arguments:
        result, error = done.get()
        if error:
            raise error
        results[result[0]] = result[1]
    return [results[argument] for argument in arguments]
