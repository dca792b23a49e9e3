"""Lets the database's server crash, fail over and be restored, and says what became of those who read its log."""

from __future__ import annotations

import argparse
import sys
import time


def main():
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make disasters", description=__doc__)
    parser.add_argument("--crashes", type=int, default=60, help="how often the server crashes")
    options = parser.parse_args()
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    from tests.disasters import crashes

    outcomes, committed = crashes.run(options.crashes, say)
    print(f"{options.crashes} crashes, {committed} changes committed")
    for one in outcomes:
        print(one)
    return 0 if all(one.well for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
