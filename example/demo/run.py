"""The demo's beginning and end: every started process is ended in any case."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import requests

from example.demo import databases
from example.demo.display import Display
from example.demo.processes import ROOT, DemoError, Processes
from example.demo.story import Story
from example.local_postgres import PostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

AWAY = 20.0
"""Seconds that billing is away with --break."""
WATCH = 0.25
"""Seconds between two looks at whether everything still runs."""
SIGNALS = [signal.SIGINT, signal.SIGTERM]
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
    SIGNALS.append(signal.SIGHUP)


class Stopped(BaseException):
    """The demo was told to stop: not an error, and not to be caught on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; its exit code."""
    options = _parser().parse_args(arguments)
    display = Display()
    folder = Path(tempfile.mkdtemp(prefix="pubsubpull-demo-"))
    keep = False
    try:
        _listen(stop=True)
        code = _run(options, display, folder)
    except Stopped as stopped:
        code = 128 + stopped.number
    except BrokenPipeError:  # the reader of our output has gone
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - it is written to until the very end
        code = 128 + signal.SIGPIPE
    except (DemoError, PostgresError) as error:
        keep = bool(getattr(error, "log", ""))
        display.error(str(error), advice=getattr(error, "advice", ""), log=getattr(error, "log", ""))
        code = 1
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _run(options: argparse.Namespace, display: Display, folder: Path) -> int:
    display.title()
    story = None
    try:
        with _quiet_end(display), databases.databases() as urls, _processes(folder, urls) as processes:
            story = Story(display, processes, urls)
            with _errors_explained(processes):
                story.tell(options.writes)
            display.verdict(story.problems, story.seconds)
            if not options.exit:
                _stay(display, processes, story, away=AWAY if options.break_ else 0.0)
            elif options.break_:
                story.away(AWAY)
    except Stopped as stopped:
        # Ctrl-C is how a story that has been told ends.
        if story is None or not story.told or stopped.number != signal.SIGINT:
            raise
    display.say("Everything that was started has ended.")
    return 1 if story is None or story.problems else 0


def _stay(display: Display, processes: Processes, story: Story, *, away: float) -> None:
    display.chapter("It stays up until you press Ctrl-C")
    story.farewell()
    if away:
        display.say("Billing goes away now. Look at how subscriptions fare, and at billing's page.")
        story.away(away)
    while True:
        time.sleep(WATCH)
        processes.check()


@contextlib.contextmanager
def _quiet_end(display: Display) -> Iterator[None]:
    """Entered first and so left last: put the signals back once everything has ended."""
    try:
        yield
    finally:
        display.restore()
        _listen(stop=True)


@contextlib.contextmanager
def _processes(folder: Path, urls: Mapping[str, str]) -> Iterator[Processes]:
    processes = Processes(folder, _environment(urls))
    try:
        yield processes
    finally:
        _listen(stop=False)  # from here on we are stopping already
        processes.stop()


@contextlib.contextmanager
def _errors_explained(processes: Processes) -> Iterator[None]:
    """Where a call to a process failed because the process did, say that instead."""
    try:
        yield
    except requests.RequestException as error:
        processes.check()
        raise processes.failure("shop", f"did not do what was asked: {error}") from error
    except (psycopg.Error, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        processes.check()
        raise DemoError(f"{type(error).__name__}: {error}") from error


def _environment(urls: Mapping[str, str]) -> dict[str, str]:
    dropped = {"DJANGO_SETTINGS_MODULE", "GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "SHOP_DATABASE_URL": urls["shop"],
        "BILLING_DATABASE_URL": urls["billing"],
    }


def _listen(*, stop: bool) -> None:
    for number in SIGNALS:
        signal.signal(number, _stop if stop else signal.SIG_IGN)


def _stop(number: int, _frame: FrameType | None) -> None:
    _listen(stop=False)  # once is enough: the remaining work is bounded in time
    raise Stopped(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m example.demo",
        description="Starts a shop and billing, each with a database of its own; billing follows the shop. Writes to "
        "the shop in every way there is, shows how the changes travel, and proves that each of them arrived. "
        "With DATABASE_URL set, that server is used (in databases of the demo's own, dropped in the end).",
    )
    parser.add_argument("--exit", action="store_true", help="end when all is told: 0 if all of it held, else 1")
    parser.add_argument(
        "--break", action="store_true", dest="break_", help=f"stop billing for {AWAY:.0f} seconds when all is told"
    )
    parser.add_argument(
        "--writes", type=_positive, default=20_000, metavar="N", help="about how many changes to make (default: 20000)"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
