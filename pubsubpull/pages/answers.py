"""Common parts of the pages: their answers, and the reading of their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.template.response import TemplateResponse

from pubsubpull import conf

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.http import HttpRequest, HttpResponse


def using_now() -> str:
    """Return the alias of the database that has the log."""
    return conf.get().DATABASE


def number(text: str | None) -> int:
    """Return the version in a text; 0 for any other text."""
    # Imported changes have versions below 0.
    digits = (text or "").removeprefix("-")
    # Fewer than 19 digits fit a bigint: PostgreSQL would refuse a larger number with an error.
    return int(text) if text and digits.isascii() and digits.isdigit() and len(digits) < 19 else 0


def answer(
    request: HttpRequest, site: AdminSite, name: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return a page within the frame of the admin site."""
    # Django's template tags then make addresses of this site, not of the default one.
    setattr(request, "current_app", site.name)  # noqa: B010  Django reads it, its types do not know it
    whole = {**site.each_context(request), **context}
    return TemplateResponse(request, f"pubsubpull/{name}.html", whole, status=status)
