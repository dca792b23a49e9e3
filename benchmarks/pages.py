"""The admin's pages, with 1,000,000 changes and 1,000 subscriptions in the database."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.db import connection
from django.test import Client, override_settings

import pubsubpull
from benchmarks import measure, services, sql

if TYPE_CHECKING:
    from benchmarks.bench import Bench

LIMIT = 200.0
"""How long a page may take, in milliseconds."""
REQUESTS = 100
"""The changes are of so many requests."""
TRAIL = 1000
"""So many of them are of one object."""
OPERATORS = "/admin/pubsubpull/subscription/"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "pubsubpull.middleware.RequestMiddleware",
]


def run(bench: Bench) -> measure.Outcome:
    """Ask for each page several times, as a browser would, from the request to the last byte; give the medians."""
    changes, many, rounds = (20_000, 50, 1) if bench.quick else (1_000_000, 1_000, 9)
    request = _changes(changes)
    bench.say(f"{changes:,} changes are there")
    subscriptions(many, changes)
    samples()
    sql.run(sql.compose("analyze"))
    with override_settings(MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF="benchmarks.admin_urls"):
        browser = client()
        pages = _pages(request)
        found = measure.medians(
            measure.interleaved(
                {name: lambda path=path: ask(browser, path) for name, path in pages.items()},  # type: ignore[misc]
                rounds=rounds,
                say=bench.say,
            )
        )
    lines = [
        measure.Line(
            what=name,
            ours=f"{figures['took']:.0f} ms",
            theirs="–",
            value=figures["took"],
            bound="at most",
            target=LIMIT,
            unit=" ms",
        )
        for name, figures in found.items()
    ]
    note = (
        f"{changes:,} changes of {REQUESTS} requests, {TRAIL:,} of them of one object; {many:,} subscriptions, each "
        f"at a place of its own in the log, a fifth of them failing; a day of samples. Medians of {rounds}."
    )
    return measure.Outcome(lines=tuple(lines), notes=(note,))


def _pages(request: str) -> dict[str, str]:
    """Return the pages' paths: each as it is first seen, and the searches that have most to look at."""
    history, log, state = (
        "/admin/benchmarks/captured/1/history/",
        "/admin/pubsubpull/change/",
        OPERATORS,
    )
    soon = dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1)
    return {
        "an object's history": history,
        "an object's history, by a person who changed nothing": f"{history}?user=nobody",
        "restoring a version": f"{history}restore/?version=1",
        "a request": f"{log}requests/{request}/",
        "the log": log,
        "the log, of one person": f"{log}?user=user-7",
        "the log, by a path that nobody asked for": f"{log}?path=/nowhere/",
        "the log, of one key": f"{log}?model=benchmarks.captured&key=1",
        "the log, until a day": f"{log}?until={soon}",
        "the operators' page": state,
        "the operators' page, the last of its pages": f"{state}?page=20",
        "the operators' page, by name": f"{state}?q=s77",
    }


def _changes(count: int) -> str:
    """Write the changes; return the id of one of the requests that made them."""
    rows = (count - TRAIL) // REQUESTS
    for number in range(REQUESTS):
        with pubsubpull.context(source="http", user=f"user-{number}", path=f"/orders/{number}/", method="POST") as made:
            _execute("insert_rows", count=rows)
    with pubsubpull.context(source="http", user="anna", path="/orders/1/", method="PUT"):
        for number in range(TRAIL):
            _execute("update_one", id=1, status=str(number))
    return str(made.id)


def _execute(name: str, **parts: object) -> None:
    """Run a statement as the application does, so that its changes name the request."""
    with connection.cursor() as cursor:
        cursor.execute(sql.compose(name, table=services.TABLE, **parts))


def subscriptions(many: int, changes: int) -> None:
    """Make subscriptions that stand at places of their own all over the log, a fifth of them failing."""
    from pubsubpull.log import feed
    from pubsubpull.models import Subscription

    consumer, _ = services.consumer()
    present = feed.present()
    made = []
    for number in range(many):
        cursor = present.after(changes * number // many).encode()
        fails = number % 5 == 0
        made.append(
            Subscription(
                consumer=consumer,
                name=f"s{number}",
                callback=f"https://s{number}.example/changes/",
                labels=[services.MODEL],
                ops=["insert"],
                batch=100,
                secrets=[],
                cursor=cursor,
                last_sent_cursor=cursor,
                delivered=number,
                state="failing" if fails else "active",
                last_error="The receiver answered 500." if fails else "",
                attempts=7 if fails else 0,
            )
        )
    Subscription.objects.bulk_create(made)


def samples() -> None:
    """Put a day of samples there, as many as are kept."""
    from pubsubpull.models import Sample
    from pubsubpull.operate import samples

    samples.take("default")
    last = Sample.objects.get()
    ages = [
        *range(samples.SAMPLE_INTERVAL, samples.KEPT_FINE, samples.SAMPLE_INTERVAL),
        *range(samples.KEPT_FINE, samples.KEPT_COARSE, samples.COARSE),
    ]
    Sample.objects.bulk_create(
        Sample(
            at=last.at - dt.timedelta(seconds=age),
            captured=last.captured - age,
            delivered=max(10**6 - age, 0),
            bytes=last.bytes - age,
            details=last.details if age < samples.DETAILED else None,
        )
        for age in ages
    )


def client() -> Client:
    """Return a browser that is logged in."""
    from django.contrib.auth.models import User

    made = Client()
    made.force_login(User.objects.create_superuser("boss"))
    return made


def ask(browser: Client, path: str) -> measure.Figures:
    """Ask for a page; say how many milliseconds it took."""
    answers = []
    took = measure.timed(lambda: answers.append(browser.get(path)))
    if answers[0].status_code != 200:
        raise AssertionError(f"{path} answered {answers[0].status_code}")
    return {"took": took * 1000}
