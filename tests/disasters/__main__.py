"""Lets the database's server crash, fail over and be restored, and reports the effect on the readers of its log."""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time

from tests.disasters import crashes, failovers, standbys


def main():
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make disasters", description=__doc__)
    parser.add_argument("--crashes", type=int, default=200, help="how often the server crashes")
    parser.add_argument("--writers", type=int, default=26, help="how many write while a standby is read from")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long they do")
    parser.add_argument("--only", choices=["crashes", "failovers", "standby"], help="only this part")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes = []

    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    def note(*found):
        outcomes.extend(found)
        for one in found:
            say(str(one))

    if options.only in {None, "crashes"}:
        found, committed = crashes.run(options.crashes, say)
        say(f"{options.crashes} crashes, {committed} changes committed")
        note(*found)
    if options.only in {None, "failovers"}:
        for way in failovers.WAYS:
            for late in (False, True):
                with tempfile.TemporaryDirectory() as folder:
                    note(failovers.run(way, late=late, folder=pathlib.Path(folder)))
    if options.only in {None, "standby"}:
        with tempfile.TemporaryDirectory() as folder:
            note(standbys.run(writers=options.writers, seconds=options.seconds, folder=pathlib.Path(folder)))
    return 0 if all(one.well for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
