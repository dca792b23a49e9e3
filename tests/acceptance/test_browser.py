"""The admin's pages in a real browser: used, without an error, without a request that leaves the site, accessible."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

import pubsubpull
from tests.shop.models import Customer, Order

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]
AXE = pathlib.Path(__file__).parents[1] / "vendor" / "axe.min.js"
SCREENSHOTS = os.environ.get("PUBSUBPULL_SCREENSHOTS")
"""Where `make screenshots` wants them kept."""
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def open_browser(live_server, monkeypatch):
    """Return how to open a page of the site, logged in; it fails on what a page must not do."""
    if CHROMIUM is None:
        (pytest.fail if os.environ.get("PUBSUBPULL_REQUIRE_ALL") else pytest.skip)("There is no chromium here.")
    # The browser's own loop runs in this thread, where the test reads the database too.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE pubsubpull_change, pubsubpull_request")
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="p"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}

    @contextlib.contextmanager
    def opened(size="desktop", scheme="light"):
        faults = []
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            try:
                context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, base_url=live_server.url)
                context.add_cookies([cookie])
                page = context.new_page()
                page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
                page.on("pageerror", lambda error: faults.append(str(error)))
                page.on("request", lambda r: None if r.url.startswith(live_server.url) else faults.append(r.url))
                page.route("**/admin/**", _with_policy)
                yield page
            finally:
                browser.close()
        assert faults == []

    return opened


def _with_policy(route):
    """Let the browser enforce a strict Content-Security-Policy on the pages."""
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})


def violations(page):
    """Return what axe finds, as lines."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def keep(page, name):
    if SCREENSHOTS:
        page.screenshot(path=pathlib.Path(SCREENSHOTS) / f"{name}.png")


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
