"""Reading the whole log over HTTP, pages of 1,000, from one gunicorn worker."""

from __future__ import annotations

import concurrent.futures
import re
import time
from typing import TYPE_CHECKING

from benchmarks import measure, services

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.bench import Bench

CURSOR = re.compile(rb'"cursor": ?"([^"]+)", ?"more": ?(true|false)\}$')
NEXT = re.compile(rb'^\{"next":"([^"]+)"')
ITEM = (b'"op":',)
COMPACT_ITEM = (b',"insert",[', b',"update",[')
READERS = 4


def run(bench: Bench) -> measure.Outcome:
    """Read the same log through pubsubpull's API and through Django REST framework's, one reader and several."""
    count, rounds = (2_000, 1) if bench.quick else (20_000, 7)
    services.changes(count)
    _, token = services.consumer()
    with services.processes() as running, concurrent.futures.ThreadPoolExecutor(READERS) as threads:
        url = running.serve("service", "benchmarks.wsgi", threads=READERS)
        apis = {
            "pubsubpull": lambda: _ours(url, token, "", ITEM),
            "compact": lambda: _ours(url, token, "&compact=true", COMPACT_ITEM),
            "rest": lambda: _rest(url),
        }
        variants = {
            f"{api} {readers}": lambda read=read, readers=readers: _read(threads, read, count, readers)  # type: ignore[misc]
            for api, read in apis.items()
            for readers in (1, READERS)
        }
        found = measure.medians(measure.interleaved(variants, rounds=rounds, say=bench.say))
    rates = {name: figures["rate"] for name, figures in found.items()}
    forms = {"pubsubpull": "", "compact": " in compact pages"}
    return measure.Outcome(
        lines=tuple(_line(rates, *form, readers) for form in forms.items() for readers in (1, READERS))
    )


def _line(rates: dict[str, float], api: str, form: str, readers: int) -> measure.Line:
    ours, theirs = rates[f"{api} {readers}"], rates[f"rest {readers}"]
    return measure.Line(
        what=f"read the log{form}, {readers} reader{'s' * (readers > 1)} at once, against Django REST framework",
        ours=f"{ours:,.0f}/s",
        theirs=f"{theirs:,.0f}/s",
        value=ours / theirs,
        bound="at least",
        target=10,
    )


def _read(threads: concurrent.futures.Executor, read: Callable[[], int], count: int, readers: int) -> measure.Figures:
    began = time.perf_counter()
    got = [task.result() for task in [threads.submit(read) for _ in range(readers)]]
    seconds = time.perf_counter() - began
    if got != [count] * readers:
        raise AssertionError(f"{got} changes were read of {count}")
    return {"rate": count * readers / seconds}


def _get(url: str, **headers: str) -> bytes:
    answer = services.http.request("GET", url, headers=headers)
    if answer.status != 200:
        raise AssertionError(f"{url} was answered {answer.status}: {answer.data[:300]!r}")
    return answer.data


def _ours(url: str, token: str, form: str, item: tuple[bytes, ...]) -> int:
    got, after, more = 0, "", True
    while more:
        body = _get(f"{url}/pubsubpull/changes/?limit=1000{form}{after}", Authorization=f"Bearer {token}")
        got += sum(map(body.count, item))
        found = CURSOR.search(body, body.rindex(b'"cursor"'))
        assert found
        after, more = f"&after={found[1].decode()}", found[2] == b"true"
    return got


def _rest(url: str) -> int:
    got, following = 0, f"{url}/rest/"
    while following:
        body = _get(following)
        got += sum(map(body.count, ITEM))
        found = NEXT.search(body)
        following = found[1].decode() if found else ""
    return got
