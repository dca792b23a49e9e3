"""The demo, chapter by chapter."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

from example.demo import acts, databases, proof, services
from example.demo.measure import Databases
from example.demo.processes import DemoError

if TYPE_CHECKING:
    from example.demo.display import Display
    from example.demo.processes import Processes
    from example.demo.services import Services

TRAIL_COLUMNS = ("reference", "status", "total")
"""Of what changed, what the trail shows; the rest would not fit."""
PAGE = "changes/?models=shop.order&limit=1"


class Story:
    """Tells the story to a display. The caller ends its processes. `problems` are the failed expectations."""

    def __init__(self, display: Display, processes: Processes, urls: dict[str, str]) -> None:
        self.problems: list[str] = []
        self.told = False
        self._show = display
        self._processes = processes
        self._urls = urls
        self._services: Services | None = None
        self._order = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self._began

    def tell(self, count: int) -> None:
        """Tell all of it, with about so many changes."""
        self._services = made = services.start(self._processes, self._show)
        with (
            contextlib.closing(Databases(self._urls)) as both,
            contextlib.closing(Databases(self._urls)) as watcher,
        ):
            start = both.progress().last_version
            stage = acts.Stage(show=self._show, processes=self._processes, databases=both, watcher=watcher)
            played, order = acts.play_all(stage, made, self._urls["shop"], count)
            self.problems += [act.problem for act in played if act.problem]
            self._order = order
            self._pull(made)
            self._audit(made, order)
            self.problems += proof.tell(self._show, played, both.compare(), both.delivery(start))
        self.told = True

    def farewell(self) -> None:
        """Show all addresses, and some things to try."""
        if self._services is None:
            return
        show, made = self._show, self._services
        admin = f"{made.shop}/admin"
        show.link("the shop's admin", f"{admin}/  (log in as {services.ADMIN}, password {made.password})")
        show.link("who did that to an order?", f"{admin}/shop/order/{self._order}/history/")
        show.link("how subscriptions fare", f"{admin}/pubsubpull/subscription/")
        show.link("billing, live", f"{made.billing}/?order={self._order}")
        show.link("the API of changes", f"{made.shop}/pubsubpull/docs")
        show.link("the shop's database", databases.shown(self._urls["shop"]))
        show.link("billing's database", databases.shown(self._urls["billing"]))
        show.command(made.curl(f"subscriptions/{made.subscription}/"))
        show.say("Now change something, and watch billing's page and the order's history:")
        show.command(self._change(made))

    def away(self, seconds: float) -> None:
        """Stop billing for a while, so that the operators' page has something to say; then show that it catches up."""
        if self._services is None:
            return
        show = self._show
        show.chapter(f"Billing is away for {seconds:.0f} seconds")
        show.say("The shop goes on: a command imports 100 customers meanwhile.")
        with contextlib.closing(Databases(self._urls)) as both:
            self._processes.pause("billing")
            try:
                before = both.progress()
                self._processes.run("shop-import", "example.shop", "import_customers", "100")
                self._processes.sleep(seconds)
            finally:
                self._processes.resume("billing")
            began = time.monotonic()
            show.outcome("billing is back")
            while both.progress(version=before.last_version, page=before.last_page).lag > 0:
                self._processes.check()
                if time.monotonic() - began > acts.ARRIVAL:
                    self.problems.append("billing has not caught up after it was away")
                    return
                time.sleep(acts.TICK)
        show.outcome(f"and has caught up within {time.monotonic() - began + 0.05:.1f} seconds; nothing is lost")

    def _change(self, made: Services) -> str:
        """Return a command that changes the order: by SQL, which Django does not see, where there is psql."""
        if shutil.which("psql") and not os.environ.get("DATABASE_URL"):
            statement = f"UPDATE shop_order SET status = 'gift', total = 0 WHERE id = {self._order}"  # noqa: S608  a number
            return f'psql "{self._urls["shop"]}" -c "{statement}"'
        header = f"Authorization: Bearer {made.users[0]}"
        return f"curl -X PUT -H '{header}' -d '{{\"status\": \"gift\"}}' {made.shop}/orders/{self._order}/"

    def _pull(self, made: Services) -> None:
        show = self._show
        show.chapter("Who would rather ask than be told, pulls the same page")
        command = made.curl(PAGE)
        show.command(command)
        page = json.loads(_run(command)) if shutil.which("curl") else made.get(PAGE)
        if not shutil.which("curl"):
            show.say("(There is no curl here: this is the same call, made by Python.)")
        if [item["model"] for item in page["items"]] != ["shop.order"]:
            self.problems.append("the page pulled is not the one change of an order that was asked for")
        show.say("The model has its card masked, and its internal note kept from the log.")
        show.json(json.dumps(page, indent=2, ensure_ascii=False))

    def _audit(self, made: Services, order: int) -> None:
        show = self._show
        show.chapter(f"Who did that? The trail of order {order}")
        trail = made.get(f"models/shop.order/audit/{order}/")["items"]
        rows = [_trail_row(entry) for entry in reversed(trail)]
        show.say("Each change names the request that made it; one made by SQL had none.")
        show.table(("time", "change", "who", "by", "what"), rows)
        who = [row[2] for row in rows]
        if who != [*services.USERS, "unknown"]:
            self.problems.append(f"the trail of order {order} should name anna and ben, then none; it names {who}")


def _run(command: str) -> str:
    """Run the command as it was shown."""
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    if said.returncode:
        raise DemoError(f"curl ended with code {said.returncode}: {said.stderr or said.stdout}")
    return said.stdout


def _trail_row(entry: dict[str, Any]) -> tuple[str, ...]:
    request = entry["request"] or {}
    what = "\n".join(
        f"{name} {new}" if old is None else f"{name} {old} -> {new}"
        for name, (old, new) in entry["changed"].items()
        if name in TRAIL_COLUMNS
    )
    by = f"{request['method']} {request['path']}" if request.get("method") else "SQL, no request"
    return entry["at"][11:23], entry["op"], request.get("user_name") or "unknown", by, what
