"""Replicas against an oracle, the source itself: a committed state at each page that ends a snapshot."""

from __future__ import annotations

import contextlib
import random
import threading

import psycopg
import pytest
from django.db import connection

from tests.integration import pulled
from tests.sessions import session
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
ARTICLES, TOTAL = 20, 2000


def transfer(one, dice):
    """Move some stock from one article to another: the total never differs. Now and then it is in vain."""
    first, second = dice.sample(range(ARTICLES), 2)
    amount = dice.randint(1, 9)
    with one.transaction(force_rollback=dice.random() < 0.1):
        order = sorted([(first, -amount), (second, amount)])  # so that none waits for another in a circle
        for article, difference in order:
            one.execute(
                "INSERT INTO shop_stock VALUES ('w', %s, %s) "
                "ON CONFLICT (warehouse, article) DO UPDATE SET amount = shop_stock.amount + excluded.amount",
                (article, difference),
            )
        if dice.random() < 0.3:
            one.execute("DELETE FROM shop_stock WHERE amount = 0")
        if dice.random() < 0.2:
            one.execute("UPDATE shop_stock SET warehouse = warehouse WHERE article < 3")


def test_each_page_that_ends_a_snapshot_leaves_a_committed_state(follower):
    there.Stock.objects.bulk_create(
        there.Stock(warehouse="w", article=n, amount=TOTAL // ARTICLES) for n in range(ARTICLES)
    )
    follower.run_once()
    stop = threading.Event()

    def write(seed):
        dice = random.Random(seed)
        with session() as one:
            while not stop.is_set():
                with contextlib.suppress(psycopg.errors.DeadlockDetected):
                    transfer(one, dice)
                stop.wait(0.01)  # no faster than one that follows page by page

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    checked = 0
    try:
        with session() as reader:
            while checked < 30:
                cohort = pulled.cohort()
                page = pulled.page(cohort, limit=200)
                assert pulled.applied(cohort, page)
                if not page.more:
                    assert reader.execute("SELECT sum(amount) FROM replicas_stock").fetchone() == (TOTAL,)
                    checked += not page.empty
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    follower.run_once()
    with connection.cursor() as run:
        run.execute("TABLE shop_stock EXCEPT TABLE replicas_stock")
        assert run.fetchall() == []
        run.execute("TABLE replicas_stock EXCEPT TABLE shop_stock")
        assert run.fetchall() == []
