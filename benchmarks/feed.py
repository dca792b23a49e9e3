"""Reading the whole log over HTTP, pages of 1,000, from one gunicorn worker."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from benchmarks import measure, services

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench

CURSOR = re.compile(rb'"cursor": ?"([^"]+)", ?"more": ?(true|false)\}$')
NEXT = re.compile(rb'^\{"next":"([^"]+)"')
ITEM = re.compile(rb'"op": ?"')


def run(bench: Bench) -> measure.Outcome:
    """Read the same log through pubsubpull's API and through Django REST framework's."""
    count, rounds = (2_000, 1) if bench.quick else (20_000, 7)
    services.changes(count)
    _, token = services.consumer()
    with services.processes() as running:
        url = running.serve("service", "benchmarks.wsgi", threads=2)
        found = measure.medians(
            measure.interleaved(
                {
                    "pubsubpull": lambda: _read(lambda: _ours(url, token), count),
                    "rest": lambda: _read(lambda: _rest(url), count),
                },
                rounds=rounds,
                say=bench.say,
            )
        )
    ours, theirs = found["pubsubpull"]["rate"], found["rest"]["rate"]
    line = measure.Line(
        what="read the log in pages of 1,000, against Django REST framework",
        ours=f"{ours:,.0f}/s",
        theirs=f"{theirs:,.0f}/s",
        value=ours / theirs,
        bound="at least",
        target=10,
    )
    return measure.Outcome(lines=(line,))


def _read(pages: Callable[[], int], count: int) -> measure.Figures:
    began = time.perf_counter()
    got = pages()
    seconds = time.perf_counter() - began
    if got != count:
        raise AssertionError(f"{got} changes were read of {count}")
    return {"rate": count / seconds}


def _get(url: str, **headers: str) -> bytes:
    answer = services.http.request("GET", url, headers=headers)
    if answer.status != 200:
        raise AssertionError(f"{url} was answered {answer.status}: {answer.data[:300]!r}")
    return answer.data


def _ours(url: str, token: str) -> int:
    got, after, more = 0, "", True
    while more:
        body = _get(f"{url}/pubsubpull/changes/?limit=1000{after}", Authorization=f"Bearer {token}")
        got += len(ITEM.findall(body))
        found = CURSOR.search(body)
        assert found
        after, more = f"&after={found[1].decode()}", found[2] == b"true"
    return got


def _rest(url: str) -> int:
    got, following = 0, f"{url}/rest/"
    while following:
        body = _get(following)
        got += len(ITEM.findall(body))
        found = NEXT.search(body)
        following = found[1].decode() if found else ""
    return got
