"""The demo, chapter by chapter."""

from __future__ import annotations

import contextlib
import json
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
    """Tells it to a display, by processes that somebody else ends. `problems` is what did not hold."""

    def __init__(self, display: Display, processes: Processes, urls: dict[str, str]) -> None:
        self.problems: list[str] = []
        self.told = False
        self._show = display
        self._processes = processes
        self._urls = urls
        self._services: Services | None = None
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
            self._pull(made)
            self._audit(made, order)
            self.problems += proof.tell(self._show, played, both.compare(), both.delivery(start))
        self.told = True

    def farewell(self) -> None:
        """Show where everything is, for whoever wants to look around."""
        if self._services is None:
            return
        show = self._show
        show.link("shop: its changes' API", f"{self._services.shop}/pubsubpull/docs")
        show.link("billing: what it has", f"{self._services.billing}/")
        show.link("the shop's database", databases.shown(self._urls["shop"]))
        show.link("billing's database", databases.shown(self._urls["billing"]))
        show.command(self._services.curl(f"subscriptions/{self._services.subscription}/"))

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
        trail = made.get(f"models/shop.order/instances/{order}/audit/")["items"]
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
