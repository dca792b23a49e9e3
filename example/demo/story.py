"""The demo, act by act."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import requests

from example.demo import writes
from example.demo.measure import Databases, Progress
from example.demo.processes import DemoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from example.demo.display import Display
    from example.demo.processes import Processes

MODELS = ("shop.customer", "shop.order", "shop.item")
BEFORE = 200
"""How many customers the shop has before billing comes along."""
ARRIVAL = 60.0
"""Seconds that the last change of an act may take to arrive."""
TICK = 0.01
"""Seconds between two looks at whether all has arrived."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Act:
    """A way of writing, and what came of it: `first` and `last` bound its versions, times are seconds."""

    title: str
    committed: int
    captured: int
    applied: int
    pages: int
    first: int
    last: int
    writing: float
    arriving: float


class Story:
    """Tells it to a display, on two databases, by processes that somebody else ends. What did not hold is in `problems`."""

    def __init__(self, display: Display, processes: Processes, urls: dict[str, str]) -> None:
        self.problems: list[str] = []
        self.acts: list[Act] = []
        self._display = display
        self._processes = processes
        self._urls = urls
        self.told = False
        self._began = time.monotonic()
        self.shop = self.billing = self._token = ""
        self._users: list[str] = []
        self._order = 0
        self._start = Progress(captured=0, pages=0, applied=0, last_version=0, last_page=0)

    def tell(self, count: int) -> None:
        """Tell all of it, with about so many changes."""
        self._services()
        self._subscription()
        self._databases, self._watcher = Databases(self._urls), Databases(self._urls)
        try:
            self._start = self._databases.progress()
            self._writes(count)
            self._pull()
            self._audit()
            self._proof()
            self.told = True
        finally:
            self._databases.close()
            self._watcher.close()

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self._began

    def _services(self) -> None:
        show = self._display
        show.chapter("Two services, each with a database of its own")
        self._processes.run_all({"shop migrate": _SHOP_MIGRATE, "billing migrate": _BILLING_MIGRATE})
        show.outcome("the tables are made; in the shop's, triggers now write each change into a change log")
        self._users = self._processes.run("shop users", "example.shop", "shop_user", "anna", "ben").split()
        self._processes.run("shop import", "example.shop", "import_customers", str(BEFORE))
        self.shop = self._processes.serve("shop", "example.shop.wsgi", threads=8)
        show.outcome(f"shop    publishes customers, orders and items   {self.shop}")
        self.billing = self._processes.serve("billing", "example.billing.wsgi", threads=4)
        show.outcome(f"billing keeps copies of them                   {self.billing}")
        self._processes.start_module("delivery", "example.shop", "pubsubpull_deliver")
        show.outcome("delivery worker: sends what is new in the log to those who subscribed")

    def _subscription(self) -> None:
        show = self._display
        show.chapter("Billing begins to follow the shop")
        said = self._processes.run(
            "shop consumer", "example.shop", "pubsubpull_consumer", "add", "billing",
            "--models", *MODELS, "--audit", "--subscribe",
        )  # fmt: skip
        self._token = _token(said)
        self._processes.environment |= {"SHOP_URL": f"{self.shop}/pubsubpull/", "SHOP_TOKEN": self._token}
        rows = self._processes.run("billing follow", "example.billing", "follow_shop", f"{self.billing}/changes/")
        show.outcome(f"pulled the {rows} rows that the shop had already")
        show.outcome("registered its callback: PUT /pubsubpull/subscriptions/billing/")

    def _writes(self, count: int) -> None:
        show = self._display
        show.chapter("The shop is written to, in every way there is")
        show.say("Each change is captured in the transaction that makes it, and pushed to billing.")
        orders = max(8, min(count // 100, 400))
        seconds = 4.0 if count >= 10_000 else 1.0
        url, bulk = self._urls["shop"], count // 5
        self._act("HTTP, by two users", lambda: self._over_http(orders))
        self._act("SQL by hand", lambda: writes.by_sql(url, self._order, max(20, bulk // 2)))
        self._act("bulk_create, a command", lambda: self._import(max(20, bulk)))
        self._act("COPY", lambda: writes.by_copy(url, max(20, 2 * bulk)))
        self._act(f"{writes.TILLS} tills at once", lambda: writes.by_tills(url, seconds))

    def _over_http(self, orders: int) -> int:
        self._order, changes = writes.over_http(self.shop, self._users, orders)
        return changes

    def _import(self, count: int) -> int:
        return int(self._processes.run("shop import", "example.shop", "import_customers", str(count)))

    def _act(self, title: str, write: Callable[[], int]) -> None:
        before = self._databases.progress(version=self._start.last_version, page=self._start.last_page)
        since = {"version": before.last_version, "page": before.last_page}
        began = time.monotonic()
        with self._display.watching(title, lambda: _figures(self._watcher.progress(**since))):
            committed = write()
            written = time.monotonic()
            after = self._arrived(title, since)
        ended = time.monotonic()
        act = Act(
            title=title,
            committed=committed,
            captured=after.captured,
            applied=after.applied,
            pages=after.pages,
            first=before.last_version,
            last=after.last_version,
            writing=written - began,
            arriving=ended - began,
        )
        self.acts.append(act)
        good = act.committed == act.captured == act.applied
        self._display.outcome(
            f"{title:<22} {act.captured:>7,} changes captured, {act.pages:>4,} pages pushed, "
            f"all there {(ended - written) * 1000:,.0f} ms later",
            good=good,
        )
        if not good:
            self.problems.append(
                f"{title}: {act.committed:,} changes committed, {act.captured:,} captured, {act.applied:,} applied"
            )

    def _arrived(self, title: str, since: dict[str, int]) -> Progress:
        """Wait until nothing is on its way any more."""
        end = time.monotonic() + ARRIVAL
        while (now := self._databases.progress(**since)).lag > 0:
            self._processes.check()
            if time.monotonic() > end:
                raise self._processes.failure(
                    "delivery", f"left {now.lag:,} changes undelivered {ARRIVAL:.0f} seconds after: {title}"
                )
            time.sleep(TICK)
        return now

    def _pull(self) -> None:
        show = self._display
        show.chapter("Whoever would rather ask than be told pulls the same pages")
        command = self.curl("changes/?models=shop.order&limit=1")
        show.command(command)
        if shutil.which("curl"):
            said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
            if said.returncode:
                raise DemoError(f"curl failed: {said.stderr or said.stdout}")
            text = said.stdout
        else:
            show.say("(There is no curl here; this is the same call, made by Python.)")
            text = json.dumps(self._get("changes/?models=shop.order&limit=1"))
        page = json.loads(text)
        if len(page["items"]) != 1:
            self.problems.append("the page pulled has not the one change that was asked for")
        show.json(json.dumps(page, indent=2, ensure_ascii=False))

    def curl(self, path: str) -> str:
        """Return a command that gets something of the API, in two lines."""
        proxy = "--noproxy '*' " if os.environ.get("http_proxy") or os.environ.get("all_proxy") else ""
        header = shlex.quote(f"Authorization: Bearer {self._token}")
        return f"curl -s {proxy}-H {header} \\\n  {shlex.quote(f'{self.shop}/pubsubpull/{path}')}"

    def _get(self, path: str) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{self.shop}/pubsubpull/{path}", headers={"Authorization": f"Bearer {self._token}"}, timeout=30
            )
        if not answer.ok:
            raise DemoError(f"GET {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def _audit(self) -> None:
        show = self._display
        show.chapter(f"Who did that? The trail of order {self._order}")
        trail = self._get(f"models/shop.order/instances/{self._order}/audit/")["items"]
        rows = []
        for entry in reversed(trail):
            request = entry["request"] or {}
            what = ", ".join(
                f"{name}: {new}" if old is None else f"{name}: {old} -> {new}"
                for name, (old, new) in entry["changed"].items()
                if name in {"reference", "status", "total", "customer_id"}
            )
            how = f"{request['method']} {request['path']}" if request.get("method") else "(no request: by SQL)"
            rows.append((entry["at"][11:23], entry["op"], request.get("user_name") or "-", how, what))
        show.table(("time", "change", "who", "how", "what"), rows)
        users = [row[2] for row in rows]
        if users[:2] != ["anna", "ben"]:
            self.problems.append(f"the trail of order {self._order} should name anna, then ben; it names {users}")

    def _proof(self) -> None:
        show = self._display
        show.chapter("The proof: every committed write has reached billing")
        compared = self._databases.compare()
        show.table(
            ("table", "rows in shop", "rows in billing", "hash in shop", "hash in billing", ""),
            [
                (
                    one.table,
                    *(f"{n:,}" for n in one.rows),
                    *(h[:12] for h in one.hashes),
                    "=" if one.equal else "DIFFER",
                )
                for one in compared
            ],
        )
        self.problems += [f"{one.table}: the copy differs from the table" for one in compared if not one.equal]
        delivery = self._databases.delivery(self._start.last_version)
        committed = sum(act.committed for act in self.acts)
        for count, what in (
            (delivery.missing, "missing"), (delivery.twice, "applied twice"), (delivery.strange, "never committed"),
        ):  # fmt: skip
            if count:
                self.problems.append(f"{count:,} changes {what}")
        show.outcome(
            f"{committed:,} changes committed: {delivery.missing:,} missing, {delivery.twice:,} applied twice, "
            f"{delivery.strange:,} that were rolled back",
            good=not (delivery.missing or delivery.twice or delivery.strange),
        )
        show.chapter("How fast that was, with everything on this machine")
        since = "commit" if delivery.exact else "write"
        show.table(
            ("written by", "changes", "captured/s", "delivered/s", f"{since} to applied: p50", "p99"),
            [
                (
                    act.title,
                    f"{act.captured:,}",
                    f"{act.captured / act.writing:,.0f}",
                    f"{act.applied / act.arriving:,.0f}",
                    f"{delivery.percentile(0.5, act.first, act.last) * 1000:,.0f} ms",
                    f"{delivery.percentile(0.99, act.first, act.last) * 1000:,.0f} ms",
                )
                for act in self.acts
            ],
            numbers=1,
        )

    def farewell(self) -> None:
        """Show where everything is, for whoever wants to look around."""
        show = self._display
        show.link("the shop's changes", f"{self.shop}/pubsubpull/")
        show.link("its API, documented", f"{self.shop}/pubsubpull/docs")
        show.link("billing", f"{self.billing}/")
        show.link("shop's database", self._urls["shop"])
        show.link("billing's database", self._urls["billing"])


_SHOP_MIGRATE = ("example.shop", "migrate", "--verbosity", "0")
_BILLING_MIGRATE = ("example.billing", "migrate", "--verbosity", "0")


def _figures(now: Progress) -> tuple[int, int, str]:
    return now.applied, now.captured, f"{now.captured:,} captured, {now.pages:,} pages, lag {now.lag:,}"


def _token(said: str) -> str:
    """Find the token in what `pubsubpull_consumer add` printed: its last word."""
    words = said.split()
    if not words:
        raise DemoError("pubsubpull_consumer add has printed no token.")
    return words[-1]
