"""The demo, run as a newcomer runs it: as a process, with its output and its leftovers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import psycopg
import pytest
import requests

from tests import settings

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what is left running is looked up in /proc"),
]

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 180.0
CURL = re.compile(r"^curl -s .*\\\n  '.*'$", re.MULTILINE)


class Demo:
    """A demo that runs, and all that it has started: they carry a mark in their environment."""

    def __init__(self, *arguments, url, cwd=ROOT):
        self.mark = f"MARK={uuid.uuid4()}"
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        environment |= {"MARK": self.mark.removeprefix("MARK=")} | ({"DATABASE_URL": url} if url else {})
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "example" / "demo"), "--writes", "300", *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.output += line

    def says(self, text):
        until(lambda: text in self.output or self.process.poll() is not None, lambda: self.output)
        assert text in self.output, self.output

    def ends(self, code):
        assert self.process.wait(LIMIT) == code, self.output
        self._reader.join(10)
        until(lambda: not self.pids(), lambda: f"left: {self.pids()}")
        return self.output

    def pids(self, word=""):
        """Return the running processes with our mark, and the word in their command line."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile, or is not ours
                continue
            if self.mark.encode() in environment and word in command:
                found.append(int(folder.name))
        return sorted(found)


def until(event, explain):
    end = time.monotonic() + LIMIT
    while not event():
        assert time.monotonic() < end, explain()
        time.sleep(0.05)


@contextmanager
def demo(*arguments, **options):
    running = Demo(*arguments, **options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        until(lambda: not running.pids(), lambda: f"left: {running.pids()}")
        running._reader.join(10)
        running.process.stdout.close()


def databases():
    with psycopg.connect(settings.URL) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database where datname like '%demo%'")}


def test_it_proves_that_all_arrived_and_leaves_nothing_on_a_given_server():
    with demo("--exit", "--break", url=settings.URL) as running:
        said = running.ends(0)
    assert "All of it held" in said
    assert "Billing is away for 20 seconds" in said
    assert re.search(r"has caught up within \d+\.\d seconds; nothing is lost", said)
    for table in ("customer", "order", "item"):
        assert re.search(rf"^ *{table} .* equal *$", said, re.MULTILINE), said
    assert re.search(r"[1-9][\d,]* changes committed; 0 missing, 0 applied twice, 0 never committed", said)
    assert re.search(r"anna +POST /orders/", said)
    assert re.search(r"ben +PUT /orders/\d+/", said)
    assert re.search(r"unknown +SQL, no request", said)
    assert "told nobody" not in said  # an excluded column
    assert "4111" not in said  # a masked one
    assert "\x1b" not in said  # no colours where there is no terminal
    assert max(map(len, re.sub(CURL, "", said).splitlines())) <= 100
    assert databases() == set()


def test_it_stays_up_on_a_server_of_its_own_until_ctrl_c_from_any_folder(tmp_path):
    with demo(url=None, cwd=tmp_path) as running:
        running.says("Ctrl-C")
        running.says("subscriptions/replica-")
        until(lambda: len(CURL.findall(running.output)) == 2, lambda: running.output)
        commands = CURL.findall(running.output)
        assert len(commands) == 2
        if shutil.which("curl"):
            page, subscription = (
                json.loads(subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout)
                for command in commands
            )
            assert [item["model"] for item in page["items"]] == ["shop.order"]
            assert subscription["state"] == "active"
        documentation = re.search(r"http://\S+/pubsubpull/docs", running.output)[0]
        page = requests.get(documentation, timeout=30)
        scripts = re.findall(r'<script src="([^"]+)"', page.text)
        assert scripts
        for script in scripts:  # from the shop itself: the newcomer may be off line
            assert requests.get(urljoin(documentation, script), timeout=30).status_code == 200
        assert_admin_shows_the_users(running.output)
        live = re.search(r"billing, live +(http://\S+/)\?order=(\d+)", running.output)
        assert "<table>" in requests.get(live[1], timeout=30).text
        rows = requests.get(f"{live[1]}rows/", params={"order": live[2]}, timeout=30).json()
        assert rows["orders"][0]["id"] == int(live[2])
        running.process.send_signal(signal.SIGINT)
        assert "has ended" in running.ends(0)


def assert_admin_shows_the_users(said):
    """Log in with the printed password, and read the printed history."""
    admin, name, password = re.search(r"(http://\S+/admin/)  \(log in as (\w+), password (\S+)\)", said).groups()
    history = re.search(r"http://\S+/admin/shop/order/\d+/history/", said)[0]
    with requests.Session() as session:
        session.get(f"{admin}login/", timeout=30)
        body = {"username": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        session.post(f"{admin}login/", data={**body, "next": "/admin/"}, timeout=30)
        page = session.get(history, timeout=30)
        assert (page.status_code, page.url) == (200, history)
        assert "anna" in page.text
        assert "ben" in page.text


def test_a_stop_in_the_middle_ends_all_its_processes():
    with demo(url=settings.URL) as running:
        running.says("a delivery worker")
        running.process.terminate()
        running.ends(128 + signal.SIGTERM)
    assert databases() == set()


def test_a_process_that_dies_is_named_with_the_end_of_its_log():
    with demo(url=settings.URL) as running:
        running.says("begins to follow")
        for pid in running.pids("pubsubpull_deliver"):
            os.kill(pid, signal.SIGKILL)
        said = running.ends(1)
    assert "delivery ended by itself, with code -9" in said
    log = Path(re.search(r"whole log is (\S+)", said)[1])
    assert log.exists()
    shutil.rmtree(log.parent)


def test_killed_it_leaves_no_process():
    with demo(url=None) as running:
        running.says("a delivery worker")
        running.process.kill()
        running.ends(-signal.SIGKILL)


def test_an_unreachable_server_is_an_error_with_a_remedy():
    with demo(url="postgresql://nobody@127.0.0.1:1/none") as running:
        said = running.ends(1)
    assert "Traceback" not in said
    assert "DATABASE_URL must name" in said
