"""`python -m benchmarks [NAME ...] [--quick] [--write]`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import time

NAMES = (
    "bulk",
    "one",
    "feed",
    "delivery",
    "scale",
    "latency",
    "ticks",
    "isolation",
    "polling",
    "replica",
    "retention",
    "pages",
    "history",
)


def main() -> int:
    """Run the named benchmarks, or all; print the results."""
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    server = os.environ["DATABASE_URL"]
    import django

    django.setup()
    from benchmarks import bench, databases, measure, report

    outcomes = {}
    for name in options.names or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        began = time.monotonic()
        durable = getattr(module, "DURABLE", False) and not options.volatile
        with (
            databases.durable(server) if durable else contextlib.nullcontext(server) as used,
            databases.fresh(used) as url,
        ):
            outcomes[name] = module.run(bench.Bench(url=url, quick=options.quick, count=options.count))
        if outcomes[name].lines:
            print(f"\n{measure.table(outcomes[name].lines)}\n", flush=True)
        for note in outcomes[name].notes:
            print(f"  {note}")
        print(f"  ({time.monotonic() - began:.0f} s)\n", flush=True)
        if options.write or not (options.names or options.quick):
            report.write(name, outcomes[name], server)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures, beside what others offer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run; all, without: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="only show that they work; the figures mean little")
    parser.add_argument("--count", type=int, help="how many changes `history` puts into the log; 10,000,000 without")
    parser.add_argument("--volatile", action="store_true", help="start no server that waits for the disk for `replica`")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md, as a run of all does anyway")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if not os.environ.get("DATABASE_URL"):
        parser.error("DATABASE_URL names no server. Run `make bench`, which starts one.")
    return options


if __name__ == "__main__":
    sys.exit(main())
