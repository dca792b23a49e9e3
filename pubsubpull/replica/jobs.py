"""Jobs: enqueue a task once for each instance of another service's model, existing and new.

A step takes a page, enqueues a task for each instance, and moves the job on, in one transaction. With a tasks backend
in the same database, a crash therefore neither loses nor repeats a task. Steps are tasks themselves.
"""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from pubsubpull import conf, exceptions
from pubsubpull.replica import pages, services, tasks
from pubsubpull.replica.models import PullJob, PullKey
from pubsubpull.replica.sizes import STANDARD_SIZES, Sizes
from pubsubpull.wire import jsontext
from pubsubpull.wire.ops import ROW_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pubsubpull.pull.client import Client
    from pubsubpull.wire.ops import RowName

AGAIN = 5.0
"""The seconds between two checks for new instances, if the tasks backend can defer tasks."""


def pull(
    source: str,
    callback: Any,
    *,
    service: str,
    name: str | None = None,
    ops: Iterable[RowName] = ("insert",),
    callback_kwargs: Mapping[str, Any] | None = None,
    pull_priority: int = 0,
    job_priority: int = 0,
) -> str:
    """Enqueue a task for each instance of a model: existing ones, newest first, and changes from now on.

    `callback` is a Django task at module level. Its argument `instance` is a dict of key, version, op and data, with
    decimal numbers as texts. For existing instances, the op is `snapshot`. The task also takes `callback_kwargs`, a
    dict that JSON can hold. `ops` names the operations of later changes: insert, update or delete (with the deleted
    row as data). If capture was switched off at the source, a job for inserts enqueues all rows once more as
    snapshots, since nothing tells new rows apart. The job's own steps run with `pull_priority`, the tasks with
    `job_priority`.

    Return the job's name, by default made of kind, service, source and callback. If the job exists already, it is only
    woken. Raises `ReplicaError` and the errors of the client.
    """
    options = _options(callback_kwargs, pull_priority, job_priority, ops=ops)
    return _start("pull", source, callback, options, service=service, name=name)


def pull_up(
    source: str,
    callback: Any,
    *,
    service: str,
    name: str | None = None,
    ops: Iterable[RowName] = ("insert",),
    callback_kwargs: Mapping[str, Any] | None = None,
    pull_priority: int = 0,
    job_priority: int = 0,
) -> str:
    """Enqueue a task for each change from now on. Arguments, result and errors are those of `pull`."""
    options = _options(callback_kwargs, pull_priority, job_priority, ops=ops)
    return _start("pull_up", source, callback, options, service=service, name=name)


def pull_down(
    source: str,
    callback: Any,
    *,
    service: str,
    name: str | None = None,
    callback_kwargs: Mapping[str, Any] | None = None,
    pull_priority: int = 0,
    job_priority: int = 0,
) -> str:
    """Enqueue a task for each existing instance, from the highest key down, and end. Otherwise as `pull`."""
    options = _options(callback_kwargs, pull_priority, job_priority, ops=("insert",))
    return _start("pull_down", source, callback, options, service=service, name=name)


def stop(name: str) -> None:
    """End a job. Tasks that it has enqueued stay."""
    PullJob.objects.using(conf.get().DATABASE).filter(name=name).delete()


def _options(
    callback_kwargs: Mapping[str, Any] | None, pull_priority: int, job_priority: int, *, ops: Iterable[RowName]
) -> dict[str, Any]:
    return {
        "ops": _checked_ops(ops),
        "callback_kwargs": tasks.checked_kwargs(callback_kwargs, taken={"instance"}),
        "pull_priority": pull_priority,
        "job_priority": job_priority,
    }


def _start(
    kind: Literal["pull", "pull_up", "pull_down"],
    source: str,
    callback: Any,
    options: dict[str, Any],
    *,
    service: str,
    name: str | None,
) -> str:
    source = source.lower()
    if not hasattr(callback, "enqueue"):
        raise exceptions.ReplicaError("The callback must be a Django task: decorate it with @task().")
    tasks.prioritized(callback, options["job_priority"])  # Now, so that the caller gets the error, and not a worker.
    steps = tasks.prioritized(step, options["pull_priority"], field="pull_priority")
    name = name or f"{kind} {service} {source} {callback.module_path}"
    # The cursor is taken before the job exists, so no change between both is lost.
    with services.get(service).client() as client:
        cursor = pages.changes(client, [source], "now", limit=1).cursor
    PullJob.objects.using(conf.get().DATABASE).get_or_create(
        name=name,
        defaults={
            "service": service,
            "source": source,
            "callback": callback.module_path,
            "up": kind != "pull_down",
            "down": kind != "pull_up",
            "cursor": cursor,
            **options,
        },
    )
    steps.enqueue(name=name)
    return name


def _checked_ops(ops: Iterable[RowName]) -> list[str]:
    wanted: list[str] = [ops] if isinstance(ops, str) else list(ops)
    unknown = [op for op in wanted if op not in ROW_NAMES]
    if unknown or not wanted:
        said = ", ".join(map(repr, unknown)) or "none"
        raise exceptions.ReplicaError(f"ops: one or more of {', '.join(ROW_NAMES)}, not {said}.")
    return wanted


def run(name: str, *, sizes: Sizes = STANDARD_SIZES) -> int:
    """Take steps until there is nothing more to do now; return the number of enqueued tasks."""
    using = conf.get().DATABASE
    job = PullJob.objects.using(using).filter(name=name).first()
    if job is None:
        return 0  # A person has stopped it.
    before = job.called
    with services.get(job.service).client() as client:
        while (job := _step(name, client, sizes, using)) is not None and job.down:
            pass
    return (job.called if job else before) - before


def _step(name: str, client: Client, sizes: Sizes, using: str) -> PullJob | None:
    """Take one step; return the job after it, or None if it was stopped."""
    with transaction.atomic(using):
        # Locked: steps of other processes wait until this one has moved the job on.
        job = PullJob.objects.using(using).select_for_update().filter(name=name).first()
        if job is None:
            return None
        # The order matters: read the page of rows first, the changes after it. An instance inserted before the page
        # was read is then among the changes, and so known before the page is handled.
        page = _page_down(job, client, sizes) if job.down else None
        begins = job.up and _go_up(job, client)
        # A page from before rows came without changes is read again, from the top.
        if page and not begins:
            _go_down(job, page)
        if not job.down:
            job.keys.all().delete()
        job.save(using=using)
    return job


def _page_down(job: PullJob, client: Client, sizes: Sizes) -> pages.Rows:
    return pages.rows(client, job.source, at=job.at, until=None, cursor=job.cursor, limit=sizes.rows, newest=True)


def _go_up(job: PullJob, client: Client) -> bool:
    """Call for the changes since the job's cursor, of the operations that it wants.

    Return True if rows may have come without changes: the job goes down again, through all rows.
    """
    more, begins = True, False
    while more:
        page = pages.changes(client, [job.source], job.cursor)
        # Texts for decimals: the JSON of a tasks backend would lose digits.
        for item in [] if page.empty else jsontext.row(page.body, parse_float=str)["items"]:
            if item["op"] in job.ops:
                data = item["old"] if item["op"] == "delete" else item["new"]
                _call(job, {"key": item["key"], "version": item["version"], "op": item["op"], "data": data})
            if item["op"] == "uncaptured" and "insert" in job.ops:
                job.at, job.down, begins = None, True, True
            if item["op"] == "insert" and "insert" in job.ops and job.down:
                # A deleted key may be inserted again.
                PullKey.objects.using(job._state.db).get_or_create(job=job, key=item["key"])
        job.cursor, more = page.cursor, page.more
    return begins


def _go_down(job: PullJob, page: pages.Rows) -> None:
    """Enqueue tasks for the instances of a page, except those inserted since the job began: they have theirs."""
    items = jsontext.row(page.body, parse_float=str)["items"]
    came = set(job.keys.filter(key__in=[item["key"] for item in items]).values_list("key", flat=True))
    for item in items:
        if item["key"] not in came:
            _call(job, {"key": item["key"], "version": item["version"], "op": "snapshot", "data": item["data"]})
    job.at, job.down = page.last, page.last is not None


def _call(job: PullJob, instance: dict[str, Any]) -> None:
    task = tasks.prioritized(import_string(job.callback), job.job_priority)
    task.enqueue(instance=instance, **job.callback_kwargs)
    job.called += 1


def _step_and_wait(name: str) -> None:
    """Run a job until there is nothing more to do now; if it waits for changes, enqueue the next step."""
    run(name)
    using = conf.get().DATABASE
    job = PullJob.objects.using(using).filter(name=name, up=True).first()
    if job and step.get_backend().supports_defer:
        later = timezone.now() + timedelta(seconds=AGAIN)
        tasks.prioritized(step, job.pull_priority, run_after=later).enqueue(name=name)


def _task(function: Any, name: str) -> Any:
    """Return a function as a task of this module with the name `name`."""
    # Workers import tasks by module and name, so the function must carry the name of the module's attribute.
    module = tasks.tasks_module()
    if module is None:
        raise exceptions.ReplicaError("Jobs need Django 6, or the package django-tasks.")
    function.__name__ = function.__qualname__ = name
    return importlib.import_module(module).task(function)


step = _task(_step_and_wait, "step")
