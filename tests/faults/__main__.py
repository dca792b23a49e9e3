"""Runs the faults: a database of its own, a service, workers, writers, and a receiver behind proxies."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time

import psycopg

from example.local_postgres import own_server
from tests.faults import processes as running
from tests.faults import receiving, suite, writing
from tests.faults import standby as standing
from tests.faults.proxy import Proxy

SETTINGS = {"wal_keep_size": "512MB", "wal_retrieve_retry_interval": "200ms"}
"""A standby that was away for a while finds what it needs, and soon."""
READER = "a reader of the standby"
FOLDER = pathlib.Path(__file__).parent


def prepare(url, rows):
    """Make the tables, and all of pubsubpull."""
    os.environ["FAULTS_DATABASE_URL"] = url
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
    with psycopg.connect(url) as connection:
        connection.execute((FOLDER / "tpcb.sql").read_text("utf-8"))
        connection.execute("DELETE FROM pgbench_accounts WHERE aid > %s", [rows])
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def subscribe(receiver, ports):
    """Make the two subscriptions; return the last version before each, by name, the consumer's token and a cursor."""
    from django.db import connection

    from pubsubpull.log import feed
    from pubsubpull.pull import consumers
    from pubsubpull.subscriptions import service
    from tests.faults.models import ALL

    consumer, token = consumers.add("mirror", [model._meta.label_lower for model in ALL], may_subscribe=True)
    now = feed.present()
    begun = {READER: now.seq}
    for (name, rows), port in zip({suite.LAGGING: True, "changes": False}.items(), ports, strict=True):
        begun[name] = feed.present().seq
        wish = service.SubscriptionSpec(
            callback=f"http://127.0.0.1:{port}/",
            models=[model._meta.label_lower for model in ALL],
            batch=500 if rows else 50,
            instances=rows,
        )
        receiver.secrets[name] = service.secret_of(service.put(consumer, name, wish)[0])
    connection.close()
    return begun, token, now.cursor().encode()


def run(options, folder, say):
    """Run the suite; return an outcome for each subscription, and the failures."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(own_server("faults", SETTINGS, durable=True))
        say(f"PostgreSQL runs, with fsync and synchronous_commit; logs are in {folder}")
        prepare(server.url(), options.rows)
        receiver = receiving.Receiver(options.seed)
        target = stack.enter_context(receiving.serving(receiver))
        proxies = [stack.enter_context(Proxy(target, options.seed + n)) for n in range(2)]
        begun, token, cursor = subscribe(receiver, [proxy.port for proxy in proxies])
        processes = running.Processes(folder, server.url())
        stack.callback(processes.end)
        port = processes.serve()
        standby = standing.Standby(server, stack)
        other = processes.serve(standby.server.url())
        for _ in range(options.workers):
            processes.work()
        writers = writing.Writers(url=server.url(), service=port, seed=options.seed, pause=options.pause)
        failing = suite.Suite(
            server=server, standby=standby, processes=processes, proxies=proxies, receiver=receiver, say=say
        )
        from tests.faults.models import ALL

        labels = [model._meta.label_lower for model in ALL]
        reader = standing.Reader(f"http://127.0.0.1:{other}/pubsubpull/", token, labels, cursor)
        pulled_from = begun.pop(READER)
        reader.start()
        writers.start()
        try:
            suite.wait_for_first(receiver, begun)
            failing.run(seconds=options.seconds, seed=options.seed)
        finally:
            writers.stop()
        say("nothing fails any more")
        source = suite.Source(failing.server.url(), ALL)
        suite.wait_for_all(source, receiver, begun=begun)
        outcomes = [suite.judge(source, receiver.copies[name], name, begun=begun[name]) for name in begun]
        outcomes.append(suite.judge_reader(source, reader, begun=pulled_from))
        for state in () if all(one.well for one in outcomes) else source.states():
            say(str(state))
        return outcomes, failing.injected, sum((proxy.moods for proxy in proxies), receiver.moods), writers


def report(outcomes, injected, effects, writers):
    """Print the outcome."""
    print(f"\nfaults injected: {injected.total()}")
    for kind, count in sorted(injected.items()):
        print(f"  {count:5} {kind}")
    print(f"  ({', '.join(f'{count} {kind}' for kind, count in sorted(effects.items()))})")
    by = "TPC-B, the service" + (", pgbench" if writers.pgbench else "; pgbench is not installed")
    print(f"transactions of the writers ({by}): {writers.committed} committed, {writers.broken} broken off or refused")
    for one in outcomes:
        print(
            f"{one.name}: changes {one.changes}, duplicates {one.duplicates}, lost {one.lost}, "
            f"out of order {one.disorder}, set aside {one.set_aside}, rows that differ {one.differences}, "
            f"longest stall {one.stall:.1f} s" + (f", told 410 {one.expired}" if one.expired else "")
        )


def main():
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long things fail")
    parser.add_argument("--seed", type=int, default=round(time.time()), help="the same seed, the same faults")
    parser.add_argument("--workers", type=int, default=2, help="how many delivery workers there are")
    parser.add_argument("--pause", type=float, default=0.01, help="between two transactions of a writer, in seconds")
    parser.add_argument("--rows", type=int, default=100_000, help="how many accounts there are at first")
    options = parser.parse_args()
    began = time.monotonic()

    def say(text):
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    print(f"seed {options.seed}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pubsubpull-faults-"))
    found = run(options, folder, say)
    report(*found)
    return 0 if all(one.well for one in found[0]) else 1


if __name__ == "__main__":
    sys.exit(main())
