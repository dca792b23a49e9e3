"""A failure of one subscription, or of the worker itself, is no failure of other subscriptions."""

from __future__ import annotations

import errno
import resource

import pytest

from pubsubpull.delivery.store import Store
from pubsubpull.models import Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from pubsubpull.transports.http import client, descriptors
from tests.delivering import run, until
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_error_in_the_reading_for_some_subscriptions_lets_the_others_go_on():
    consumer, _ = consumers.add("mirror", ["*"], may_subscribe=True)
    Order.objects.create()
    for name, model, after in (("bad", "shop.order", "start"), ("good", "shop.customer", None)):
        wish = service.SubscriptionSpec(callback=f"https://{name}.example/", models=[model], after=after)
        service.put(consumer, name, wish)
    fails = [True]

    class FailingStore(Store):
        def read(self, after, *, limit, models, now):
            if "shop.order" in models and fails[0]:
                raise RecursionError("too deep")
            return super().read(after, limit=limit, models=models, now=now)

    def work(_worker, sending):
        Customer.objects.create(name="a")
        until(lambda: any("good" in one.target.address for one in sending.sent))
        until(lambda: Subscription.objects.get(name="bad").state == "failing")
        assert "RecursionError" in Subscription.objects.get(name="bad").last_error
        fails[0] = False
        until(lambda: any("bad" in one.target.address for one in sending.sent))
        until(lambda: Subscription.objects.get(name="bad").state == "active")

    run(work, make_store=FailingStore)
    assert Subscription.objects.get(name="good").state == "active"


def test_a_header_that_is_none_is_left_out():
    given = {"traceparent": "00-a", "tracestate": "a\nb: c", "other": "tab\tis fine", "nul": "\x00"}
    assert client._sendable(given) == {"traceparent": "00-a", "other": "tab\tis fine"}


class System:
    """The operating system's limits, as Python's module `resource` gives them."""

    RLIMIT_NOFILE, RLIM_INFINITY = resource.RLIMIT_NOFILE, resource.RLIM_INFINITY

    def __init__(self, *limits, refuses=False):
        self.limits, self.refuses = limits, refuses

    def getrlimit(self, _):
        return self.limits

    def setrlimit(self, _, limits):
        if self.refuses:
            raise ValueError("not allowed")
        self.limits = limits


def test_the_limit_of_open_files_is_raised_as_far_as_may_be():
    system = System(1024, 4096)
    assert descriptors.allowed(system) == 4096
    assert system.limits == (4096, 4096)
    assert descriptors.room(system) == 4096 - descriptors.RESERVE
    assert descriptors.allowed(System(1024, 4096, refuses=True)) == 1024
    assert descriptors.allowed(System(System.RLIM_INFINITY, System.RLIM_INFINITY)) == descriptors.MOST
    assert descriptors.room(System(10, 10)) == 4
    assert descriptors.allowed(None) == descriptors.MOST


def test_that_no_descriptor_is_left_is_told_from_other_errors():
    assert descriptors.is_exhausted(OSError(errno.EMFILE, "Too many open files"))
    assert not descriptors.is_exhausted(OSError(errno.ECONNREFUSED, "refused"))
    assert not descriptors.is_exhausted(ValueError())
