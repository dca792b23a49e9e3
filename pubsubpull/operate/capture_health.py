"""Health of capture: each check by name, with the reason of its failure."""

from __future__ import annotations

import contextlib

from django.db import Error

from pubsubpull.capture import planning
from pubsubpull.log import feed

OK = "ok"
RUN_SYNC = "run manage.py pubsubpull_triggers --sync"


def database(using: str) -> dict[str, str]:
    """Return the check of the database, without which nothing can be served."""
    try:
        feed.present(using)
    # The error's name alone: its text may name the host and the role, and this answer may be public.
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


def _unreadable(results: dict[str, str], using: str) -> dict[str, str]:
    """Return the failed check, with the command that repairs the log's functions if these are the reason."""
    # Suppressed: where the plan cannot be read either, the first error is the reason to name.
    with contextlib.suppress(Error):
        plan = planning.plan(using)
        if plan and any(action.function for action in plan.actions):
            return {"database": f"{results['database']}, as its functions are not up to date; {RUN_SYNC}"}
    return results
