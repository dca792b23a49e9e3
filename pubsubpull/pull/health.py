"""Whether the service can do its work: each check by name, and what is wrong."""

from __future__ import annotations

from django.db import Error

from pubsubpull.capture import feed, triggers

OK = "ok"


def database(using: str) -> dict[str, str]:
    """Return the one check without which nothing can be served."""
    try:
        feed.present(using)
    except Error as error:
        return {"database": f"{type(error).__name__}: the log cannot be read"}
    return {"database": OK}


def checks(using: str) -> dict[str, str]:
    """Return each check with `ok` or the reason why it fails."""
    found = database(using)
    if found["database"] != OK:
        return found
    plan = triggers.plan(using)
    found["triggers"] = OK
    if plan is None or plan.actions:
        found["triggers"] = "they differ from what is published; run pubsubpull_triggers --sync"
    return found
