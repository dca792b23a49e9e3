"""Lookups of names: bounded in number and time, without delays for others."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from pubsubpull.transports.http import dns
from pubsubpull.transports.http.dns import Lookups


def silent(over):
    return lambda *_: [over.wait(20), "8.8.8.8"][1:]


def failing(_host, _port):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_at_registration_a_name_is_waited_for_only_so_long():
    over = threading.Event()
    assert dns.within(lambda *_: ["8.8.8.8"], "a.test", limit=5) == ["8.8.8.8"]
    assert dns.within(failing, "a.test", limit=5) == []
    assert dns.within(silent(over), "a.test", limit=0.01) == []
    over.set()


def test_at_registration_only_so_many_names_are_looked_up_at_a_time():
    over = threading.Event()
    for _ in range(8):
        dns.within(silent(over), "a.test", limit=0.001)
    asked = []
    assert dns.within(lambda host, _: asked.append(host) or ["8.8.8.8"], "b.test", limit=0.01) == []
    assert asked == []
    over.set()
    assert dns.within(lambda *_: ["8.8.8.8"], "c.test", limit=5) == ["8.8.8.8"]


def test_a_worker_is_told_why_a_name_is_not_found():
    async def main():
        with pytest.raises(socket.gaierror):
            await Lookups(failing)("a.test", 80)
        return await Lookups(lambda host, port: [host, str(port)])("a.test", 80)

    assert asyncio.run(main()) == ["a.test", "80"]


def test_an_abandoned_lookup_keeps_its_place_until_its_thread_is_done():
    over, started = threading.Event(), threading.Semaphore(0)

    def resolve(host, _port):
        started.release()
        if host == "silent.test":
            over.wait(20)
        return ["8.8.8.8"]

    async def main():
        look = Lookups(resolve)
        given_up = [asyncio.create_task(look("silent.test", 80)) for _ in range(dns.NEW)]
        for _ in given_up:
            await asyncio.to_thread(started.acquire)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        waiting = asyncio.create_task(look("new.test", 80))
        await asyncio.sleep(0)
        assert not started.acquire(blocking=False)
        over.set()
        return await waiting

    assert asyncio.run(main()) == ["8.8.8.8"]


def test_a_loop_that_ends_does_not_wait_for_a_name(recwarn):
    over = threading.Event()

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await Lookups(silent(over))("a.test", 80)

    asyncio.run(main())
    before = {thread for thread in threading.enumerate() if thread.name == "pubsubpull-lookup"}
    over.set()
    for thread in before:
        thread.join(60)
    assert not recwarn.list


def test_names_are_forgotten_when_there_are_too_many():
    async def main():
        look = Lookups(lambda *_: ["8.8.8.8"], remembered=2)
        return [await look(f"{name}.test", 80) for name in "abcde"]

    assert asyncio.run(main()) == [["8.8.8.8"]] * 5
