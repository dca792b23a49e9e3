"""The same rows by django-cqrs: a model that publishes from its signals, and its replica."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from benchmarks import services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.services import Processes


@contextlib.contextmanager
def broker(running: Processes) -> Iterator[None]:
    """Run a broker, and publish to it; end it afterwards."""
    port, names = _free(), _free()
    folder = str(running.folder)
    running.start("epmd", "benchmarks.broker", "epmd", folder, str(port), str(names))
    services.until(lambda: _answers(names), running)
    running.start("rabbitmq", "benchmarks.broker", "rabbitmq", folder, str(port), str(names))
    services.until(lambda: _answers(port), running)
    url = f"amqp://guest:guest@127.0.0.1:{port}/"
    _publish_to(url)
    running.environment["BENCH_RABBIT_URL"] = url
    try:
        yield
    finally:
        from dj_cqrs.transport.rabbit_mq import RabbitMQTransport

        RabbitMQTransport.clean_connection()
        running.end("rabbitmq")
        running.end("epmd")


def start(running: Processes) -> None:
    """Start `cqrs_consume -w 2`."""
    running.start("cqrs", "django", "cqrs_consume", "-w", "2")


def stop(running: Processes) -> None:
    """End it."""
    running.end("cqrs")


def _publish_to(url: str) -> None:
    from django.conf import settings

    os.environ["BENCH_RABBIT_URL"] = url
    settings.CQRS["url"] = url


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
