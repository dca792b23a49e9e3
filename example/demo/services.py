"""The two services, their delivery worker, and how to talk to them."""

from __future__ import annotations

import dataclasses
import re
import secrets
import urllib.request
from typing import TYPE_CHECKING, Any

import requests

from pubsubpull.wire import signing

if TYPE_CHECKING:
    from example.demo.display import Display
    from example.demo.processes import Processes

MODELS = ("shop.customer", "shop.order", "shop.item")
USERS = ("anna", "ben")
ADMIN = "admin"
BEFORE = 200
"""How many customers the shop has before billing comes along."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """Where everything is: addresses, the users' tokens, the token that billing was given, the admin's password."""

    shop: str
    billing: str
    users: list[str]
    token: str
    password: str

    @property
    def subscription(self) -> str:
        """The name that billing's replicas have subscribed by."""
        return str(self.get("subscriptions/")["items"][0]["name"])

    def curl(self, path: str) -> str:
        """Return a command, in two lines, that gets something of the shop's changes."""
        proxy = "--noproxy '*' " if urllib.request.getproxies().get("http") else ""
        header = f"Authorization: Bearer {self.token}"
        return f"curl -s {proxy}-H '{header}' \\\n  '{self.shop}/pubsubpull/{path}'"

    def get(self, path: str) -> Any:
        """Get something of the shop's changes."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands between us and the loopback address
            answer = session.get(
                f"{self.shop}/pubsubpull/{path}", headers={"Authorization": f"Bearer {self.token}"}, timeout=30
            )
        if not answer.ok:
            raise requests.HTTPError(f"it answered GET {path} with {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def start(processes: Processes, show: Display) -> Services:
    """Start both services and a delivery worker, and let billing follow the shop."""
    show.chapter("Two services, each with a database of its own")
    migrate = ("migrate", "--verbosity", "0")
    processes.run_all({"shop-migrate": ["example.shop", *migrate], "billing-migrate": ["example.billing", *migrate]})
    show.outcome("tables made; in the shop's, triggers write each change into a change log")
    users = processes.run("shop-users", "example.shop", "shop_user", *USERS).split()
    password = _admin(processes)
    processes.run("shop-import", "example.shop", "import_customers", str(BEFORE))
    shop = processes.serve("shop", "example.shop.wsgi", threads=8)
    show.outcome(f"shop    {shop}  publishes customers and orders")
    processes.start("delivery", "example.shop", "pubsubpull_deliver")
    show.outcome("a delivery worker: pushes what is new in the log to those who subscribed")
    token = _consumer(processes)
    processes.environment |= {
        "SHOP_URL": f"{shop}/pubsubpull/",
        "SHOP_TOKEN": token,
        "SHOP_SECRET": signing.new_secret(),
    }
    billing = processes.serve("billing", "example.billing.wsgi", threads=4)
    show.outcome(f"billing {billing}  has replicas of them")
    services = Services(shop=shop, billing=billing, users=users, token=token, password=password)
    _follow(services, processes, show)
    return services


def _admin(processes: Processes) -> str:
    """Make a user with all permissions in the shop's admin; return the password."""
    password = secrets.token_urlsafe(6)
    named = {"DJANGO_SUPERUSER_USERNAME": ADMIN, "DJANGO_SUPERUSER_EMAIL": "", "DJANGO_SUPERUSER_PASSWORD": password}
    processes.environment |= named
    processes.run("shop-admin", "example.shop", "createsuperuser", "--noinput")
    processes.environment = {name: value for name, value in processes.environment.items() if name not in named}
    return password


def _consumer(processes: Processes) -> str:
    said = processes.run(
        *("shop-consumer", "example.shop", "pubsubpull_consumer", "add", "billing"),
        *("--models", ",".join(MODELS), "--audit", "--subscribe"),
    )
    found = re.search(r"\bpsp_[\w-]+", said)
    if not found:
        raise processes.failure("shop-consumer", "has printed no token")
    return found[0]


def _follow(services: Services, processes: Processes, show: Display) -> None:
    show.chapter("Billing begins to follow the shop")
    show.say("It was given a token and a secret. With them, over HTTP, it has:")
    processes.run(
        "billing-follow", "example.billing", "pubsubpull_follow", "--once", "--push", f"{services.billing}/receive"
    )
    with requests.Session() as session:
        session.trust_env = False
        rows = session.get(f"{services.billing}/rows/", timeout=30).json()["rows"]
    show.outcome(f"pulled the {sum(rows.values()):,} rows that the shop had already")
    show.outcome(f"registered its callback: PUT /pubsubpull/subscriptions/{services.subscription}/")
