"""Failovers of a service's database, for readers that had read the lost changes and readers that had not.

Each way is asked at once, and late: when the new history has counted as far as the lost one had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil

from example import local_postgres
from tests.disasters import readers, servers

LOSES = "its last commits"
KEEPS = "nothing"
REPLACED = "all it had counted"
WAYS = {
    "an asynchronous standby is promoted": LOSES,
    "a synchronous standby is promoted": KEEPS,
    "a base backup takes its place": LOSES,
    "the old primary is rewound, and takes over again": LOSES,
    "it is restored to an earlier time": LOSES,
    "a dump is restored into it": REPLACED,
}
"""What happens to the primary, and what that loses."""


@dataclasses.dataclass(kw_only=True)
class Outcome:
    """The faults of each reader; empty if there are none."""

    way: str
    late: bool
    faults: list[str]

    @property
    def well(self):
        """Say whether all is as it must be."""
        return not self.faults

    def __str__(self):
        return f"{self.way}, asked {'late' if self.late else 'at once'}: {'; '.join(self.faults) or 'as it must be'}"


@dataclasses.dataclass(kw_only=True)
class Readers:
    """The readers: `seen` had read the lost changes, `before` had not; `lost` is the cursor of the first."""

    seen: readers.Puller
    before: readers.Puller
    receiver: readers.Receiver
    port: int
    replicas: readers.Replicas
    lost: str = ""


def write(server, numbers, word):
    """Insert, change and delete rows, in a transaction each."""
    for n in numbers:
        servers.execute(server, f"INSERT INTO shop_customer (name, email) VALUES ('{word} {n}', '')")
        servers.execute(server, f"UPDATE shop_customer SET name = '{word} {n} again' WHERE id % 20 = {n} % 20")
        if n % 5 == 4:
            servers.execute(server, "DELETE FROM shop_customer WHERE id = (SELECT max(id) - 1 FROM shop_customer)")


SETTINGS = {"synchronous_commit": "on", "full_page_writes": "on", "wal_log_hints": "on", "wal_keep_size": "512MB"}


def run(way, *, late, folder):
    """Run the failover once; return the outcome."""
    with contextlib.ExitStack() as stack:
        archive = folder / "archive"
        archive.mkdir()
        archive.chmod(0o777)  # the server's user writes there
        folder.chmod(0o755)
        settings = SETTINGS | {"archive_mode": "on", "archive_command": f"cp %p '{archive}/%f'"}
        primary = stack.enter_context(local_postgres.own_server("primary", settings))
        here = stack.enter_context(local_postgres.own_server("here"))
        for server in (primary, here):
            readers.manage(server, "migrate", "-v0")
        token = consumer(primary)
        service = readers.Service(folder, token)
        receiver, port = stack.enter_context(readers.receiving_here())
        replicas = readers.Replicas(here, service)
        seen, before = readers.Puller(service), readers.Puller(service)
        all_ = Readers(seen=seen, before=before, receiver=receiver, port=port, replicas=replicas)
        write(primary, range(20), "first")
        with service.on(primary):
            readers.subscribe(service, receiver, port, instances=True)
            for one in (seen, before):
                one.copy()
            replicas.follow()
            readers.deliver(primary)
            disaster = WAY[way](primary, stack, folder)
            next(disaster)
            write(primary, range(20, 35), "last")
            assert seen.drain()
            readers.deliver(primary)
            replicas.follow()
            assert readers.rows(primary) == seen.rows == receiver.table() == replicas.table()
        now = next(disaster)
        if late:
            write(now, range(40, 90), "new")
        with service.on(now):
            faults = [*_ask(WAYS[way], now, all_), *_pushed(WAYS[way], now, all_)]
            replicas.follow()
            faults += _equal("the replicas", replicas.table(), now)
            write(now, range(90, 130), "later")
            faults += _later(WAYS[way], now, all_)
        return Outcome(way=way, late=late, faults=faults)


def consumer(primary):
    """Add a consumer that may read and subscribe; return its token."""
    printed = readers.manage(primary, "pubsubpull_consumer", "add", "reader", "--models", "*", "--subscribe")
    return next(word for word in printed.split() if len(word) > 30)


def _ask(loss, now, all_):
    """Ask with the cursor of a reader that had seen the last commits, and of a reader that had not."""
    all_.lost = all_.seen.cursor
    going = {"who had seen what is lost": (all_.seen, loss == KEEPS), "who had not": (all_.before, loss != REPLACED)}
    for name, (one, goes_on) in going.items():
        if one.drain() != goes_on:
            yield f"{name} was told {'410' if goes_on else 'nothing'}"
        if not goes_on:
            one.copy()
            one.drain()
        yield from _equal(name, one.rows, now)


def _pushed(loss, now, all_):
    write(now, [39], "pushed")  # a receiver is asked where it is with the next change
    readers.deliver(now)
    state, error = readers.state(now)
    if loss == KEEPS:
        if state != "active" or all_.receiver.elsewhere:
            yield f"the subscription is {state}: {error}"
    else:
        if state == "active":
            yield "the subscription is active, though its receiver is elsewhere"
        all_.receiver.start_over()
        readers.subscribe(all_.seen.service, all_.receiver, all_.port, instances=True)
        readers.deliver(now)
    yield from _equal("the receiver", all_.receiver.table(), now)


def _later(loss, now, all_):
    """Ask once more, when the new history has gone on; and again with expired cursors."""
    readers.deliver(now)
    all_.replicas.follow()
    for name, one in {"who had seen": all_.seen, "who had not": all_.before}.items():
        one.drain()
        yield from _equal(f"{name}, later", one.rows, now)
    yield from _equal("the receiver, later", all_.receiver.table(), now)
    yield from _equal("the replicas, later", all_.replicas.table(), now)
    if loss != KEEPS:
        all_.seen.cursor = all_.lost
        if all_.seen.drain():
            yield "a cursor that had expired is taken again"


def _equal(name, rows, server):
    expected = readers.rows(server)
    wrong = sum(rows.get(key) != value for key, value in expected.items()) + len(set(rows) - set(expected))
    if wrong:
        yield f"{name} has {wrong} of {len(expected)} rows wrong"


def _asynchronous(primary, stack, _folder):
    other = stack.enter_context(servers.standby(primary, settings=SETTINGS))
    servers.caught_up(primary, other)
    servers.cut_off(other)
    yield
    servers.crash(primary)
    servers.promote(other)
    yield other


def _synchronous(primary, stack, _folder):
    other = stack.enter_context(servers.standby(primary, settings=SETTINGS))
    servers.execute(primary, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    servers.execute(primary, "SELECT pg_reload_conf()")
    servers.until(
        lambda: servers.execute(primary, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"),
        "the standby is not synchronous",
    )
    yield
    servers.crash(primary)
    servers.execute(other, "ALTER SYSTEM RESET synchronous_standby_names")
    servers.promote(other)
    yield other


def _backup(primary, stack, folder):
    copy = folder / "backup"
    servers.copy_of(primary, copy, "-X", "stream")
    yield
    servers.crash(primary)
    shutil.rmtree(primary.data)
    shutil.copytree(copy, primary.data)
    servers.hand_over_like(primary.data, copy)
    primary.start()
    yield primary


def _rewound(primary, stack, folder):
    other = stack.enter_context(servers.standby(primary, settings=SETTINGS))
    servers.caught_up(primary, other)
    servers.cut_off(other)
    yield
    servers.crash(primary)
    servers.promote(other)
    write(other, range(35, 38), "other")
    servers.rewind(primary, other)
    primary.start()
    servers.caught_up(other, primary)
    servers.crash(other)
    servers.promote(primary)
    yield primary


def _earlier(primary, stack, folder):
    copy = folder / "backup"
    servers.copy_of(primary, copy, "-X", "none")
    write(primary, [38, 39], "archived")
    servers.execute(primary, "SELECT pg_create_restore_point('before')")
    yield
    servers.execute(primary, "SELECT pg_switch_wal()")
    servers.until(
        lambda: servers.execute(
            primary,
            "SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1)",
        ),
        "the log is not archived",
    )
    servers.crash(primary)
    shutil.rmtree(primary.data)
    shutil.copytree(copy, primary.data)
    with (primary.data / "postgresql.auto.conf").open("a", encoding="utf-8") as written:
        written.write(f"restore_command = 'cp {folder}/archive/%f %p'\nrecovery_target_name = 'before'\n")
        written.write("recovery_target_action = 'promote'\n")
    (primary.data / "recovery.signal").touch()
    servers.hand_over_like(primary.data, copy)
    primary.start()
    servers.until(
        lambda: not servers.execute(primary, "SELECT pg_is_in_recovery()")[0][0], "the server is not restored"
    )
    yield primary


def _dump(primary, stack, folder):
    dump = servers.program(primary, "pg_dump", "-Fc", "postgres")
    yield
    # It warns that it cannot drop the primary keys of partitions one by one, before it drops their tables.
    servers.program(primary, "pg_restore", "--clean", "--if-exists", "-d", "postgres", data=dump, codes=(0, 1))
    readers.manage(primary, "migrate", "-v0")
    yield primary


WAY = dict(zip(WAYS, (_asynchronous, _synchronous, _backup, _rewound, _earlier, _dump), strict=True))
