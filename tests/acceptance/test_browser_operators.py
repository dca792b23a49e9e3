"""The operators' page in a real browser: its buttons, its refreshing, and that it is accessible and fits."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from django.utils import timezone

from pubsubpull.log import feed
from pubsubpull.models import Failure, Host, Sample, Subscription, Worker
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.browser import SIZES, keep, violations
from tests.shop.models import Customer

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
PAGE = "/admin/pubsubpull/subscription/"


@pytest.fixture
def consumer():
    return consumers.add("billing", ["shop.customer", "shop.order"], may_subscribe=True)[0]


def put(consumer, name, **fields):
    wish = service.SubscriptionSpec(callback="https://127.0.0.1/changes/", models=["shop.customer"])
    one = service.put(consumer, name, wish)[0]
    Subscription.objects.filter(pk=one.pk).update(**fields)
    return one


def state(one):
    one.refresh_from_db()
    return one.state


def button(page, one, action):
    return page.locator(f"#{action}-{one.pk}")


def test_a_subscription_is_paused_and_resumed(open_browser, consumer):
    one = put(consumer, "orders")
    with open_browser() as page:
        page.goto(f"{PAGE}?q=orders")
        button(page, one, "pause").click()
        expect(page.locator(".messagelist")).to_contain_text("Subscription billing/orders is paused.")
        assert page.url.endswith("?q=orders")
        assert state(one) == "paused"
        button(page, one, "resume").click()
        expect(page.locator(".psp-mark")).to_have_text("active")
    assert state(one) == "active"


def test_the_buttons_work_without_scripts(open_browser, consumer):
    one = put(consumer, "orders")
    with open_browser(scripts=False) as page:
        page.goto(PAGE)
        expect(page.locator(".psp-refresh")).to_be_hidden()
        button(page, one, "pause").click()
        expect(page.locator(".psp-mark")).to_have_text("paused")
    assert state(one) == "paused"


def test_a_subscription_is_rewound_to_where_one_chooses(open_browser, consumer):
    Customer.objects.create(name="a")
    one = put(consumer, "orders")
    with open_browser() as page:
        page.goto(PAGE)
        button(page, one, "rewind").click()
        page.check("input[value=moment]")
        page.click("input[value=Rewind]")
        expect(page.locator(".psp-rewind")).to_contain_text("Say which moment.")
        page.check("input[value=start]")
        page.click("input[value=Rewind]")
        expect(page.locator(".messagelist")).to_contain_text("goes on from there")
        expect(page.locator(".psp-state").first).not_to_contain_text("no change")
    one.refresh_from_db()
    assert one.cursor == feed.present().start().encode()


def test_a_change_set_aside_is_sent_again_and_another_dropped_without_scripts(open_browser, consumer):
    one = put(consumer, "orders")
    first, second = set_aside(one, 1), set_aside(one, 2)
    with open_browser(scripts=False) as page:
        page.goto(PAGE)
        page.locator(f"#aside-{one.pk}").click()
        page.locator(f"#retry-{first.pk}").click()
        expect(page.locator(".messagelist")).to_contain_text(f"Change {first.pk} is sent again")
        expect(page.locator(".psp-state")).to_contain_text("is sent again")
        page.locator(f"#drop-{second.pk}").click()
        page.click("input[value=Drop]")
        expect(page.locator(".messagelist")).to_contain_text(f"Change {second.pk} is dropped")
    assert [(failure.pk, failure.retrying) for failure in Failure.objects.all()] == [(first.pk, True)]


def set_aside(one, version):
    item = f'{{"version":{version},"model":"shop.customer","key":"17","request":null,"old":{{}},"new":{{}}}}'
    return Failure.objects.create(
        subscription=one,
        version=version,
        model="shop.customer",
        op="update",
        item=item,
        attempts=8,
        status=422,
        answer='{"detail": "There is no such customer, and the name of this one is too long by far."}',
        error="The receiver answered 422.",
    )


def test_the_page_fetches_itself_and_leaves_focus_and_tables_as_they_are(open_browser, consumer):
    one = put(consumer, "orders")
    samples(3)
    with open_browser() as page:
        page.goto(PAGE)
        page.locator("#psp-hour-table summary").click()
        page.evaluate("window.scrollTo(0, 150)")
        button(page, one, "rewind").focus()
        page.evaluate("window.scrollTo(0, 150)")
        Subscription.objects.update(last_error="The receiver answered 503.")
        refresh(page)
        expect(page.locator(".psp-state").first).to_contain_text("The receiver answered 503.")
        assert page.evaluate("document.activeElement.id") == f"rewind-{one.pk}"
        assert page.evaluate("window.scrollY") == 150
        assert page.locator("#psp-hour-table").get_attribute("open") is not None
        button(page, one, "pause").click()  # its token is as good as the first one
        expect(page.locator(".psp-mark")).to_have_text("paused")


def test_the_page_says_when_it_is_no_longer_up_to_date(open_browser, consumer):
    put(consumer, "orders")
    with open_browser() as page:
        page.goto(PAGE)
        expect(page.locator("#psp-stale")).to_be_hidden()
        page.context.clear_cookies()
        refresh(page)
        expect(page.locator("#psp-stale")).to_be_visible()
        expect(page.locator("#psp-live")).to_contain_text("billing/orders")


def refresh(page):
    """Have the page fetch itself now, as it does when that is switched on again."""
    page.evaluate(
        "const box = document.getElementById('psp-refresh'); box.checked = true; box.dispatchEvent(new Event('change'))"
    )


def samples(hours):
    """Put samples of some hours there: a day's work, delivered a little later, with a pause."""
    now = timezone.now().replace(second=0, microsecond=0)
    captured, made = 0, []
    steps = hours * 60
    for minute in range(steps + 1):
        load = 1 + math.sin(minute / 60) ** 2 + math.sin(minute / 7) / 4
        captured += int(3000 * load)
        late = 9000 if steps - 25 < minute < steps - 15 else 0
        made.append(
            Sample(
                at=now - dt.timedelta(minutes=steps - minute),
                captured=captured,
                delivered=max(captured - late, 0),
                bytes=2 * 10**9 + captured * 400,
            )
        )
    Sample.objects.bulk_create(made)


def busy(consumer):
    """Have a service with some of everything; return one of its subscriptions."""
    now = timezone.now()
    first = put(consumer, "orders")
    aside = [set_aside(first, version) for version in (1, 2)]
    Failure.objects.filter(pk=aside[0].pk).update(retrying=True)
    put(consumer, "support", state="paused")
    Customer.objects.create(name="a")
    put(
        consumer,
        "accounting",
        state="failing",
        attempts=4,
        last_error="The receiver answered 503.",
        next_attempt=now + dt.timedelta(seconds=40),
    )
    put(consumer, "mail", state="disabled", last_error="It has been failing for 5 days.")
    Customer.objects.create(name="b")
    put(consumer, "stock", delivered=120)
    for number in (1, 2):
        Worker.objects.create(name=f"web-{number}:4711", expires=now + dt.timedelta(hours=1))
    Host.objects.create(
        host="mail.example:443", failures=12, began=now, retry_at=now + dt.timedelta(minutes=1), error="timed out"
    )
    samples(25)
    delivered = {str(one.pk): one.delivered - 90 for one in Subscription.objects.filter(delivered__gt=90)}
    latest = Sample.objects.filter(at__lte=now - dt.timedelta(seconds=50)).latest("at")
    latest.details = {"subscriptions": delivered, "tables": {}}
    latest.save()
    return first


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_each_page_is_accessible_and_fits(open_browser, consumer, size, scheme):
    one = busy(consumer)
    found = []
    with open_browser(size, scheme) as page:
        last = one.failures.last()
        paths = {
            "operators": PAGE,
            "rewind": f"{PAGE}{one.pk}/rewind/",
            "set-aside": f"{PAGE}{one.pk}/failures/",
            "drop": f"{PAGE}{one.pk}/failures/{last.pk}/drop/",
        }
        for name, path in paths.items():
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"
            keep(page, f"{name}-{size}-{scheme}", whole=(name, size) == ("operators", "desktop"))
            found += [f"{name}: {line}" for line in violations(page)]
    assert found == []
