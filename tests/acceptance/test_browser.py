"""The admin's history pages in a real browser: used, without an error or a request that leaves the site, accessible."""

from __future__ import annotations

import pathlib

import pytest

import pubsubpull
from pubsubpull.audit.integrity import baseline, erasure
from tests.browser import SIZES, keep, violations
from tests.shop.models import Customer, Order

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]


def test_a_change_is_made_seen_in_the_history_and_restored(open_browser):
    customer = Customer.objects.create(name="Miller", email="m@example.com")
    with open_browser() as page:
        page.goto(f"/admin/shop/customer/{customer.pk}/change/")
        page.fill("[name=name]", "Smith")
        page.click("[name=_continue]")
        page.click("text=History")
        first = page.locator(".psp-timeline > li").first
        expect(first).to_contain_text("by boss")
        expect(first).to_contain_text("Miller")
        page.locator("a", has_text="Restore version").last.click()
        expect(page.locator(".psp-changes")).to_contain_text("Smith")
        page.click("input[value=Restore]")
        expect(page.locator(".psp-timeline > li")).to_have_count(3)
        page.locator(".psp-meta a").first.click()
        expect(page.locator(".psp-request")).to_contain_text("/restore/")
    customer.refresh_from_db()
    assert customer.name == "Miller"


def test_a_log_is_exported_as_a_file(open_browser):
    customer = Customer.objects.create(name="Köln", email="=1+1")
    with open_browser() as page:
        page.goto(f"/admin/shop/customer/{customer.pk}/history/")
        with page.expect_download() as started:
            page.click("text=CSV")
        assert started.value.suggested_filename == f"shop.customer-{customer.pk}.csv"
        text = pathlib.Path(started.value.path()).read_text("utf-8-sig")
    assert "Köln" in text
    assert ",'=1+1" in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_erased_and_baseline_changes_are_accessible_too(open_browser, scheme):
    customer = Customer.objects.create(name="Miller")
    erasure.erase("default", "shop.customer", str(customer.pk), by="dpo", reason="asked")
    list(baseline.baseline("shop.customer", using="default", since=baseline.last_version("default")))
    with open_browser("phone", scheme) as page:
        page.goto(f"/admin/shop/customer/{customer.pk}/history/")
        expect(page.locator(".psp-timeline")).to_contain_text("Erased on request")
        expect(page.locator(".psp-timeline")).to_contain_text("first recorded")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_each_page_is_accessible_and_fits(open_browser, size, scheme):
    order = Order.objects.create(reference="A-1", card="4711", status="the first of the notes on this order " * 3)
    version = pubsubpull.history(order)[0].version
    with pubsubpull.context(user="ann") as made:
        Order.objects.update(total="12.50", status="the second of the notes on this order " * 3, quantity=3)
    paths = {
        "history": f"/admin/shop/order/{order.pk}/history/",
        "restore": f"/admin/shop/order/{order.pk}/history/restore/?version={version}",
        "request": f"/admin/pubsubpull/change/requests/{made.id}/",
        "log": "/admin/pubsubpull/change/",
    }
    found = []
    with open_browser(size, scheme) as page:
        for name, path in paths.items():
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} is too wide"
            keep(page, f"{name}-{size}-{scheme}")
            found += [f"{name}: {line}" for line in violations(page)]
    assert found == []
