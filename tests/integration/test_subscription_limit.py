"""A consumer has no more subscriptions than the setting allows, however many it asks for at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test import override_settings

from pubsubpull import exceptions
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.processes import until
from tests.sessions import session

pytestmark = pytest.mark.django_db(transaction=True)
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def put(consumer, name):
    try:
        wish = service.SubscriptionSpec(callback="https://billing.example/changes", models=["shop.customer"])
        return service.put(consumer, name, wish)[1]
    finally:
        if not connection.in_atomic_block:
            connection.close()


@override_settings(PUBSUBPULL={"SUBSCRIPTIONS": 1})
def test_two_that_are_put_at_once_are_counted_one_after_the_other():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)
    with ThreadPoolExecutor(1) as threads, session() as other:  # a transaction sees the activity as it was
        with transaction.atomic():
            assert put(consumer, "first")
            second = threads.submit(put, consumer, "second")
            until(lambda: other.execute(WAITS).fetchone() == (1,))
        with pytest.raises(exceptions.SubscriptionError, match="would be one more than the 1"):
            second.result(20)
    assert [one.name for one in Subscription.objects.all()] == ["first"]


@override_settings(PUBSUBPULL={"SUBSCRIPTIONS": 1})
def test_the_same_that_is_put_twice_at_once_is_replaced_and_counts_once():
    consumer, _ = consumers.add("billing", ["shop.customer"], may_subscribe=True)
    with ThreadPoolExecutor(1) as threads, session() as other:
        with transaction.atomic():
            assert put(consumer, "same")
            second = threads.submit(put, consumer, "same")
            until(lambda: other.execute(WAITS).fetchone() == (1,))
        assert second.result(20) is False
