"""The browser that acceptance tests open the site in."""

from __future__ import annotations

import contextlib
import os

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests import browser
from tests.processes import until


def no_other_session():
    """Say whether no other session has the test database open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cursor.fetchone()[0] == 0


def is_fault(message):
    """Return true if a line of the console is a fault of the page. The site's icon is the browser's own request."""
    return message.type in {"error", "warning"} and not message.location["url"].endswith("/favicon.ico")


@pytest.fixture
def open_browser(live_server, monkeypatch):
    """Return a function that opens a page of the site, logged in; it fails on faults of the page."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if browser.CHROMIUM is None:
        (pytest.fail if os.environ.get("PUBSUBPULL_REQUIRE_ALL") else pytest.skip)("There is no chromium here.")
    # The browser's own loop runs in this thread, where the test reads the database too.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="p"))
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}

    @contextlib.contextmanager
    def opened(size="desktop", scheme="light", *, scripts=True):
        faults = []
        with sync_api.sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser.CHROMIUM, args=["--no-sandbox"])
            try:
                context = chromium.new_context(
                    viewport=browser.SIZES[size],
                    color_scheme=scheme,
                    base_url=live_server.url,
                    java_script_enabled=scripts,
                )
                context.add_cookies([cookie])
                page = context.new_page()
                page.on("console", lambda m: faults.append(f"{m.text} {m.location}") if is_fault(m) else None)
                page.on("pageerror", lambda error: faults.append(str(error)))
                page.on("request", lambda r: None if r.url.startswith(live_server.url) else faults.append(r.url))
                page.route("**/admin/**", browser.with_policy)
                yield page
                page.unroute_all(behavior="ignoreErrors")  # pending requests do not matter
            finally:
                chromium.close()
                connection.close()  # where a loop runs, Django has a connection of its own
        until(no_other_session, limit=10)  # the server's threads end a little later
        assert faults == []

    return opened
