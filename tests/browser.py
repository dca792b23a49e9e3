"""Shared parts of tests in a real browser: policy and sizes, findings of axe, and stored pictures."""

from __future__ import annotations

import os
import pathlib
import shutil

AXE = pathlib.Path(__file__).parent / "vendor" / "axe.min.js"
SCREENSHOTS = os.environ.get("PUBSUBPULL_SCREENSHOTS")
"""Where `make screenshots` wants them kept."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


def with_policy(route):
    """Let the browser enforce a strict Content-Security-Policy on the pages."""
    answer = route.fetch(max_redirects=0)
    route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})


def violations(page):
    """Return axe's findings, as lines."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def keep(page, name, *, whole=False):
    """Store a picture of the visible part, or of the whole page, if pictures are wanted."""
    if SCREENSHOTS:
        page.screenshot(path=pathlib.Path(SCREENSHOTS) / f"{name}.png", full_page=whole)
