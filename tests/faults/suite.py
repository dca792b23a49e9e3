"""One run: the schedule of faults, and whether all changes arrived in the end."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import random
import signal
import time

import psycopg

from tests.disasters import servers

CALM = 0.4
"""How long nothing fails between two faults, in seconds."""
PATIENCE = 120.0
"""How long all may take to arrive once nothing fails any more, in seconds."""
LAGGING = "state"
"""The subscription that gets all rows first; `changes` is the other."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault: its kind, its duration in seconds, and the index of its target."""

    kind: str
    seconds: float
    which: int


KINDS = {
    "worker killed": 0.0,
    "worker stopped for longer than its lease": 2.6,
    "database restarted (fast)": 0.0,
    "database restarted (immediate)": 0.0,
    "database crashed": 0.0,
    "database failed over": 0.0,
    "database connections ended": 0.0,
    "receiver away": 0.8,
    "receiver refuses": 0.8,
    "receiver takes pages and says that it has not": 0.8,
    "receiver slow": 1.0,
    "receiver answers junk": 0.8,
    "receiver answers with much": 0.5,
    "receiver says it is elsewhere": 0.5,
    "connections cut": 1.0,
    "bytes changed on their way": 1.0,
    "network stalls": 1.0,
}
"""How long each lasts; 0 for what happens at once."""
MOODS = {
    "receiver refuses": "refusing",
    "receiver takes pages and says that it has not": "forgetful",
    "receiver slow": "slow",
    "receiver answers junk": "junk",
    "receiver answers with much": "noisy",
    "receiver says it is elsewhere": "elsewhere",
}
PROXY_MOODS = {
    "receiver away": "away",
    "connections cut": "cutting",
    "bytes changed on their way": "corrupting",
    "network stalls": "stalling",
}


def schedule(seed):
    """Give faults without end: all kinds in a random order, then all again in another. The same for the same seed."""
    chance = random.Random(seed)
    while True:
        for kind in chance.sample(sorted(KINDS), len(KINDS)):
            yield Fault(kind=kind, seconds=KINDS[kind] * chance.uniform(0.7, 1.3), which=chance.randrange(1000))


class Suite:
    """The targets of faults: the database's server and its standby, the processes, the proxies and the receiver."""

    def __init__(self, *, server, standby, processes, proxies, receiver, say):
        self.server = server
        self.standby = standby
        self.processes = processes
        self.proxies = proxies
        self.receiver = receiver
        self.say = say
        self.injected = collections.Counter()

    def run(self, *, seconds, seed):
        """Let one thing after the other fail, for so long."""
        end = time.monotonic() + seconds
        for fault in itertools.takewhile(lambda _: time.monotonic() < end, schedule(seed)):
            self.say(f"{fault.kind}")
            self.injected[fault.kind] += 1
            self._inject(fault)
            self.processes.check()
            time.sleep(CALM)

    def _inject(self, fault):
        worker = self.processes.workers[fault.which % len(self.processes.workers)]
        match fault.kind:
            case "worker killed":
                self.processes.kill(worker)
            case "worker stopped for longer than its lease":
                worker.send_signal(signal.SIGSTOP)
                time.sleep(fault.seconds)
                worker.send_signal(signal.SIGCONT)
            case "database restarted (fast)":
                self.server.restart("fast")
            case "database restarted (immediate)":
                self.server.restart("immediate")
            case "database crashed":
                servers.crash(self.server)
                self.server.start()
            case "database failed over":
                self.server = self.standby.take_over(self.server)
            case "database connections ended":
                with psycopg.connect(self.server.url(), autocommit=True) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    )
            case kind if kind in MOODS:
                self._moody([self.receiver], MOODS[kind], fault.seconds)
            case kind:
                hit = self.proxies if fault.which % 2 else [self.proxies[fault.which % len(self.proxies)]]
                self._moody(hit, PROXY_MOODS[kind], fault.seconds)

    def _moody(self, those, mood, seconds):
        for one in those:
            one.mood = mood
        time.sleep(seconds)
        for one in those:
            one.mood = "well"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run for a subscription or a puller: `expired` counts its answers 410."""

    name: str
    changes: int
    lost: int
    duplicates: int
    disorder: int
    set_aside: int
    differences: int
    stall: float
    expired: int = 0

    @property
    def well(self):
        return not (self.lost or self.disorder or self.set_aside or self.differences or self.expired)


class Source:
    """The database at rest: all committed changes."""

    def __init__(self, url, models):
        self.url = url
        self.models = models

    def versions(self, after=0):
        return {row[0] for row in self._read("SELECT id FROM pubsubpull_change WHERE id > %s AND op <> 'T'", [after])}

    def set_aside(self, subscription):
        query = "SELECT count(*) FROM pubsubpull_failure f JOIN pubsubpull_subscription s ON s.id = subscription_id"
        return self._read(f"{query} WHERE s.name = %s", [subscription])[0][0]

    def states(self):
        return self._read("SELECT name, state, backfill, last_error, delivered FROM pubsubpull_subscription", [])

    def differences(self, copy):
        """Count the rows that are not the same at the receiver."""
        found = 0
        for model in self.models:
            table, key = model._meta.db_table, model._meta.pk.column
            rows = self._read(f"SELECT t.{key}::text, to_jsonb(t)::text FROM {table} t", [])
            there = {key: json.loads(row) for key, row in rows}
            held = copy.table(model._meta.label_lower)
            found += sum(there.get(key) != held.get(key) for key in there.keys() | held.keys())
        return found

    def _read(self, query, values):
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            return connection.execute(query, values).fetchall()


def wait_for_first(receiver, names):
    """Wait until something has arrived for each subscription."""
    end = time.monotonic() + PATIENCE
    while not all(receiver.copies[name].fresh for name in names):
        assert time.monotonic() < end, "nothing arrives"
        time.sleep(0.05)


def wait_for_all(source, receiver, *, begun):
    """Wait until all changes have arrived; a change missing after PATIENCE is lost."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        due = {name: source.versions(after) for name, after in begun.items()}
        with receiver.lock:
            if all(due[name] <= receiver.copies[name].seen for name in begun) and not any(
                backfill for _, _, backfill, _, _ in source.states()
            ):
                return
        time.sleep(0.1)


def judge_reader(source, reader, *, begun):
    """Compare the changes pulled from the standby with the committed ones; wait for late ones."""
    due = source.versions(begun)
    end = time.monotonic() + PATIENCE
    while reader.is_alive() and not due <= reader.seen and time.monotonic() < end:
        time.sleep(0.1)
    reader.stop()
    return Outcome(
        name="a reader of the standby",
        changes=len(due),
        lost=len(due - reader.seen),
        duplicates=reader.duplicates,
        disorder=reader.disorder,
        set_aside=0,
        differences=0,
        stall=0.0,
        expired=reader.expired,
    )


def judge(source, copy, name, *, begun):
    """Compare the arrived changes with the committed ones."""
    due = source.versions(begun)
    return Outcome(
        name=name,
        changes=len(due),
        lost=len(due - copy.seen),
        duplicates=copy.duplicates,
        disorder=copy.disorder,
        set_aside=source.set_aside(name),
        differences=source.differences(copy) if name == LAGGING else 0,
        stall=max((two - one for one, two in itertools.pairwise(copy.fresh)), default=0.0),
    )
