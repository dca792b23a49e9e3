"""System checks of the parts that serve requests: the middleware, the admin's pages and the HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from pubsubpull import conf
from pubsubpull.capture import registry
from pubsubpull.pull import server

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

MIDDLEWARE = "pubsubpull.middleware.RequestMiddleware"


@checks.register("pubsubpull")
def check_server(**_: Any) -> list[CheckMessage]:
    """W013: gunicorn's workers are sync, and killed before a call that waits may end."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    limit = conf.get().WAIT_LIMIT
    timeout = server.short_sync_worker(limit)
    if timeout is None:
        return []
    return [
        checks.Warning(
            f"gunicorn's workers are sync and have a timeout of {timeout} s; a call may wait for {limit:g} s.",
            hint="Give it --threads, or a --timeout beyond PUBSUBPULL['WAIT_LIMIT']: a sync worker is killed with the "
            "call that it holds, and serves nobody else meanwhile.",
            id="pubsubpull.W013",
        )
    ]


@checks.register("pubsubpull")
def check_middleware(**_: Any) -> list[CheckMessage]:
    """W001: the middleware is missing, where anything is published."""
    if MIDDLEWARE in settings.MIDDLEWARE or not registry.all_publications():
        return []
    return [
        checks.Warning(
            "Changes will not name the request that made them.",
            hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, after the authentication middleware.",
            id="pubsubpull.W001",
        )
    ]


@checks.register("pubsubpull")
def check_admin_history(**_: Any) -> list[CheckMessage]:
    """E009: ADMIN_HISTORY lacks an app or a middleware. W011: a middleware does not see its pages."""
    if conf.problems(getattr(settings, conf.NAME, {})) or not conf.get().ADMIN_HISTORY:
        return []
    if MIDDLEWARE not in settings.MIDDLEWARE or not apps.is_installed("django.contrib.admin"):
        return [
            checks.Error(
                f"{conf.NAME}: ADMIN_HISTORY is on, and does nothing without Django's admin and {MIDDLEWARE}.",
                hint="Add the missing parts to INSTALLED_APPS or MIDDLEWARE, or remove ADMIN_HISTORY.",
                id="pubsubpull.E009",
            )
        ]
    after = settings.MIDDLEWARE[settings.MIDDLEWARE.index(MIDDLEWARE) + 1 :]
    return [
        checks.Warning(
            f"{name} looks at views before they are called, and will not see the History pages of ADMIN_HISTORY.",
            hint=f"Put {MIDDLEWARE!r} after it in MIDDLEWARE.",
            id="pubsubpull.W011",
        )
        for name in after
        if hasattr(import_string(name), "process_view")
    ]
