"""The usual solution for comparison: a Celery task that puts a change with requests."""

from __future__ import annotations

import os

import requests
from celery import Celery

app = Celery("benchmarks", broker=os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:1/0"))
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


@app.task
def deliver(url: str, change: dict[str, object]) -> None:
    requests.put(url, json=change, timeout=30).raise_for_status()
