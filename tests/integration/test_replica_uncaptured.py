"""Rows changed at a source while its capture was off reach its replicas by a copy."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from django.db import connection

import pubsubpull
from pubsubpull import on_change
from pubsubpull.replica import follower, services
from pubsubpull.replica.handlers import declare as handlers
from pubsubpull.replica.models import Parked, ReplicaState
from tests.integration.test_replica_bulk import PLAIN
from tests.integration.test_replica_follow import equal, write
from tests.integration.test_replica_receive import page, put
from tests.replicas import models as here
from tests.shop import models as there

if TYPE_CHECKING:
    from pubsubpull.replica.copy import ranges

pytestmark = pytest.mark.django_db(transaction=True)


def load(*models):
    """Change, add and delete rows unseen."""
    with pubsubpull.uncaptured(*models, reason="load"):
        if there.Customer in models:
            there.Customer.objects.filter(name__lt="c5").update(name="unseen")
            there.Customer.objects.bulk_create(there.Customer(name=f"new {n}") for n in range(3))
        if there.Order in models:
            there.Order.objects.filter(quantity__lt=5).delete()
        if there.Stock in models:
            with connection.cursor() as run:
                run.execute("UPDATE shop_stock SET article = article + 100 WHERE warehouse = 'w'")


@pytest.mark.parametrize("changes", [0, 1, 300])
def test_a_replica_is_copied_again_and_ends_equal(follower, changes):
    """As a small page, and as a backlog that comes compact; with changes that are captured around it."""
    write()
    follower.run_once()
    there.Stock.objects.bulk_create(there.Stock(warehouse="before", article=n) for n in range(changes))
    load(there.Customer, there.Order, there.Stock)
    there.Stock.objects.bulk_create(there.Stock(warehouse="after", article=n) for n in range(changes))
    follower.run_once()
    equal()
    assert set(ReplicaState.objects.values_list("state", flat=True)) == {"following"}
    assert not ReplicaState.objects.filter(shape="").exists()


def test_plain_replicas_too(follower, only):
    only(*PLAIN)
    write()
    follower.run_once()
    load(there.Customer, there.Order, there.Stock)
    follower.run_once()
    assert set(here.Customer.objects.values_list("id", "name")) == set(there.Customer.objects.values_list("id", "name"))
    assert set(here.Stock.objects.values_list("article", flat=True)) == {*range(100, 105)}
    assert here.Order.objects.count() == there.Order.objects.count() == 25


def test_only_the_replicas_of_the_model_are_copied_again(follower):
    write()
    follower.run_once()
    load(there.Stock)
    with services.get("shop").client() as client:
        while follower.steps.step(client) and not follower.steps.snapshot().to_copy():
            pass
    to_copy = follower.steps.snapshot().to_copy()
    assert to_copy.sources == ["shop.stock"]
    follower.run_once()
    equal()


def test_rows_are_copied_again_if_capture_is_switched_off_meanwhile(shop):
    write()
    done = []

    def in_between(progress: ranges.Progress):
        if not done and not progress.applying and progress.rows >= progress.expected > 0:
            done.append(dataclasses.asdict(progress))
            load(there.Customer, there.Order, there.Stock)

    follower.Follower("shop", using="default", wait=0.2, progress=in_between).run_once()
    assert done
    equal()


def test_handlers_are_told(follower):
    came, some = [], []
    every, inserts = came.append, some.append  # each look makes another function, which would not be forgotten
    on_change("shop.customer")(every)
    on_change("shop.customer", ops=["insert"])(inserts)
    try:
        write()
        follower.run_once()
        load(there.Customer)
        follower.run_once()
        assert [(one.op, one.model, one.key, one.old, one.new) for one in came] == [
            ("uncaptured", "shop.customer", None, None, None)
        ]
        assert some == []
        equal()
    finally:
        handlers.forget(every)
        handlers.forget(inserts)


def test_a_notification_brings_it(follower):
    write()
    follower.run_once()
    load(there.Customer)
    assert put(page()).status_code == 204
    assert ReplicaState.objects.filter(shape="", source="shop.customer").exists()
    follower.run_once()
    equal()
    assert not Parked.objects.exists()
