"""Whether the service can do its work: each check by name, and what is wrong."""

from __future__ import annotations

from django.db import Error

from pubsubpull.capture import feed, triggers

OK = "ok"


def checks(using: str) -> dict[str, str]:
    """Return each check with `ok` or the reason why it fails."""
    try:
        feed.present(using)
        plan = triggers.plan(using)
    except Error as error:
        return {"database": f"{type(error).__name__}: the log cannot be read"}
    found = {"database": OK, "triggers": OK}
    if plan is None or plan.actions:
        found["triggers"] = "they differ from what is published; run pubsubpull_triggers --sync"
    return found
