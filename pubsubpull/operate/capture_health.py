"""Health of capture: each check by name, with the reason of its failure."""

from __future__ import annotations

import contextlib

from django.db import Error

from pubsubpull.capture import planning
from pubsubpull.log import feed

OK = "ok"
RUN_SYNC = "run manage.py pubsubpull_triggers --sync"


def database(using: str) -> dict[str, str]:
    """Return the one check without which nothing can be served."""
    try:
        feed.present(using)
    except Error as error:
        return {"database": f"{type(error).__name__}: the log cannot be read"}
    return {"database": OK}


def checks(using: str) -> dict[str, str]:
    """Return each check with `ok` or the reason why it fails."""
    results = database(using)
    if results["database"] != OK:
        return _unreadable(results, using)
    plan = planning.plan(using)
    results["triggers"] = OK
    if plan is None or plan.actions or plan.taken:
        results["triggers"] = f"they differ from what is published; {RUN_SYNC}"
    return results


def _unreadable(found: dict[str, str], using: str) -> dict[str, str]:
    """Return the failed check; if the log's functions are not as they should be, with the command that mends them."""
    with contextlib.suppress(Error):
        plan = planning.plan(using)
        if plan and any(action.function for action in plan.actions):
            return {"database": f"{found['database']}, as its functions are not up to date; {RUN_SYNC}"}
    return found
