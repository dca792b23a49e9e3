"""A delivery worker in a thread of the test's own process, and a way to wait for its results."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

from pubsubpull import conf
from pubsubpull.delivery import worker
from pubsubpull.delivery.store import Store
from pubsubpull.operate.maintenance_loop import Upkeep
from pubsubpull.operate.samples import Sampler
from pubsubpull.transports.recording import RecordingTransport

SETTINGS = conf.Settings(
    LEASE=10, POLL_INTERVAL=0.01, IDLE_INTERVAL=0.02, DRAIN=2, BACKOFF_FIRST=0.01, BACKOFF_LIMIT=0.02
)


def run(work, transport=None, make_store=Store, **settings):
    """Run a worker in a thread while `work(worker, transport)` does something; return the worker."""
    transport = transport or RecordingTransport()
    settings = dataclasses.replace(SETTINGS, **settings)
    one = worker.Worker(
        settings=settings,
        name="test",
        transport=transport,
        beside=[Upkeep(settings=settings), Sampler(using=settings.DATABASE)],
        make_store=make_store,
    )
    loops, started = [], threading.Event()

    async def main():
        loops.append(asyncio.get_running_loop())
        asyncio.get_running_loop().call_soon(started.set)
        await one.run()

    thread = threading.Thread(target=asyncio.run, args=[main()])
    thread.start()
    assert started.wait(60)
    try:
        work(one, transport)
    finally:
        loops[0].call_soon_threadsafe(one.stop)
        thread.join(60)
    assert not thread.is_alive()
    assert transport.closed
    return one


def until(condition, limit=60):
    """Wait until the condition holds, and return its value; the limit suits a busy machine."""
    event = threading.Event()
    for _ in range(int(limit / 0.02)):
        if found := condition():
            return found
        event.wait(0.02)
    raise AssertionError("it did not come to be in time")
