"""System checks of the settings and of published models, each with a remedy."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections
from django.utils.module_loading import import_string

from pubsubpull import conf
from pubsubpull.capture import planning, registry, sql, triggers
from pubsubpull.operate import labels
from pubsubpull.pull import server
from pubsubpull.transports import registry as registry_of_transports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.checks import CheckMessage

MIDDLEWARE = "pubsubpull.middleware.RequestMiddleware"
METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
"""Where machines of clouds ask for their credentials."""


@checks.register("pubsubpull")
def check_settings(**_: Any) -> list[CheckMessage]:
    """E001: a wrong setting. E002: the database of the log is not PostgreSQL."""
    messages: list[CheckMessage] = [
        checks.Error(
            f"{conf.NAME}: {name} {reason}.",
            hint=f"See pubsubpull.conf.Settings for what {conf.NAME} may hold.",
            id="pubsubpull.E001",
        )
        for name, reason in conf.problems(getattr(settings, conf.NAME, {}))
    ]
    if not messages and connections[conf.get().DATABASE].vendor != "postgresql":
        messages.append(
            checks.Error(
                f"The database {conf.get().DATABASE!r} is not PostgreSQL.",
                hint="Changes are captured by PostgreSQL's triggers: name another alias in PUBSUBPULL['DATABASE'].",
                id="pubsubpull.E002",
            )
        )
    return messages


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
def check_transports(**_: Any) -> list[CheckMessage]:
    """E010: a class that TRANSPORTS names is none, or is no transport."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    return [
        checks.Error(
            f"{conf.NAME}: TRANSPORTS has {name!r}, which {reason}.",
            hint="Give the dotted name of a class that inherits from pubsubpull.transports.base.Transport.",
            id="pubsubpull.E010",
        )
        for name in conf.get().TRANSPORTS
        if (reason := registry_of_transports.wrong(name))
    ]


@checks.register("pubsubpull", deploy=True)
def check_callbacks(**_: Any) -> list[CheckMessage]:
    """W007: callbacks may be where clouds keep their secrets. W008: consent is asked under no name of one's own."""
    given = getattr(settings, conf.NAME, {})
    if conf.problems(given):
        return []
    allowed = [ipaddress.ip_network(network) for network in conf.get().CALLBACK_ADDRESSES]
    open_ = [str(one) for one in allowed if any(ipaddress.ip_address(address) in one for address in METADATA)]
    messages: list[CheckMessage] = [
        checks.Warning(
            f"{conf.NAME}: CALLBACK_ADDRESSES has {network}, in which clouds have their metadata services.",
            hint="Whoever may subscribe could have them asked: list smaller networks, or single addresses.",
            id="pubsubpull.W007",
        )
        for network in open_
    ]
    if conf.get().VERIFY != "off" and not conf.get().ORIGIN:
        messages.append(
            checks.Warning(
                f"{conf.NAME}: receivers are asked for consent, but ORIGIN, the name to ask under, is not set.",
                hint="Set ORIGIN to this service's host, as shop.example: it is what a receiver consents to.",
                id="pubsubpull.W008",
            )
        )
    return messages


@checks.register("pubsubpull")
def check_retention(**_: Any) -> list[CheckMessage]:
    """W030: changes are dropped before a failing subscription is given up."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    settings_ = conf.get()
    if not 0 < settings_.RETENTION < settings_.DISABLE_AFTER:
        return []
    return [
        checks.Warning(
            f"Changes are kept for {settings_.RETENTION:g} seconds, but a subscription may be failing for "
            f"{settings_.DISABLE_AFTER:g}: it would lose changes before it is disabled.",
            hint="Let RETENTION be longer than DISABLE_AFTER.",
            id="pubsubpull.W030",
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
                hint="Add what is missing to INSTALLED_APPS or MIDDLEWARE, or take ADMIN_HISTORY out.",
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


@checks.register("pubsubpull")
def check_publications(**_: Any) -> list[CheckMessage]:
    """W002: a parent is not published. E003: an unknown database. W012: published twice. E014: another's label."""
    messages: list[CheckMessage] = [
        checks.Warning(
            f"{label} is published more than once, each time otherwise; what its latest publication says holds.",
            hint="Publish it once. A proxy's publication is its model's, with `exclude` and `mask` too.",
            id="pubsubpull.W012",
        )
        for label in registry.replaced()
    ]
    for publication in registry.all_publications().values():
        parents = [registry.label_of(parent) for parent in publication.model._meta.parents]
        messages += [
            checks.Warning(
                f"{publication.label} is published, but its parent {parent} is not.",
                hint="The parent's fields are in the parent's table: publish it too, to have their changes.",
                obj=publication.model,
                id="pubsubpull.W002",
            )
            for parent in parents
            if registry.get(parent) is None
        ]
        messages += [
            checks.Error(
                f"{publication.label} is published for a database {alias!r} that DATABASES does not have.",
                hint="Correct `using`.",
                obj=publication.model,
                id="pubsubpull.E003",
            )
            for alias in publication.using or ()
            if alias not in settings.DATABASES
        ]
        if publication.given_label and _is_anothers(publication.given_label, publication.model):
            messages.append(
                checks.Error(
                    f"{registry.own_label(publication.model)} is published as {publication.label}, which is the label "
                    "of another model.",
                    hint="Publish it under a label that no other model has, or rename that model.",
                    obj=publication.model,
                    id="pubsubpull.E014",
                )
            )
    return messages


def _is_anothers(label: str, model: Any) -> bool:
    return any(registry.own_label(one) == label for one in apps.get_models() if one is not model)


@checks.register("pubsubpull")
def check_tenants(**_: Any) -> list[CheckMessage]:
    """E050: with django-tenants, published models have tables in schemas that have no log."""
    if not apps.is_installed("django_tenants"):
        return []
    lists = {name: getattr(settings, name, ()) for name in ("SHARED_APPS", "TENANT_APPS")}
    return [
        checks.Error(
            f"{publication.label} is published, and its app is in {name}, which pubsubpull is not in: "
            "its tables are in schemas that have no log.",
            hint=f"Add 'pubsubpull' to {name}: each schema has a log of its own.",
            obj=publication.model,
            id="pubsubpull.E050",
        )
        for publication in registry.all_publications().values()
        for name, listed in lists.items()
        if _of(publication.model._meta.app_label, listed) and not _of("pubsubpull", listed)
    ]


def _of(app_label: str, listed: Iterable[str]) -> bool:
    """Say whether an app is listed, by its name or its configuration."""
    config = apps.get_app_config(app_label)
    return bool({config.name, f"{type(config).__module__}.{type(config).__qualname__}"} & set(listed))


@checks.register("pubsubpull", checks.Tags.database)
def check_labels(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W014: grants, subscriptions or the log name a label that no published model has."""
    if conf.problems(getattr(settings, conf.NAME, {})):
        return []
    using = conf.get().DATABASE
    if using not in (databases or ()) or triggers.log_schema(using) is None:
        return []
    try:
        unknown = labels.unknown(using)
    except DatabaseError:
        return []  # consumers or subscriptions have no tables yet
    return [
        checks.Warning(
            f"{label.label} is published no more, but is named by: {label.where}.",
            hint=labels.HINT.format(label=label.label),
            id="pubsubpull.W014",
        )
        for label in unknown
    ]


@checks.register("pubsubpull", checks.Tags.database)
def check_triggers(*, databases: Iterable[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W004: triggers differ from the published models. W005: a model has no table. W006: a level does not fit.

    W050: another log captures a table. W051: this role may not call a function that the application needs.
    """
    messages: list[CheckMessage] = []
    for using in databases or ():
        plan = planning.plan(using)
        if plan is None:
            continue
        messages += _actions(plan, using)
        messages += [
            checks.Warning(
                f"{label} is published but has no table in the database {using}.",
                hint="Migrate its app, create the table, or limit its publication with `using`.",
                id="pubsubpull.W005",
            )
            for label in plan.without_table
        ]
        messages += [
            checks.Warning(
                f"Database {using}: {table} is captured already.",
                hint="A table is captured into one log. Let one service publish it, and the other follow that.",
                id="pubsubpull.W050",
            )
            for table in plan.taken
        ]
        messages += _levels(plan) + _rights(using)
    return messages


def _actions(plan: planning.Plan, using: str) -> list[CheckMessage]:
    if not plan.actions:
        return []
    first, *others = plan.actions
    more = f", and {len(others):,} more," if others else ""
    return [
        checks.Warning(
            f"Database {using}: {first}{more} is to do; the triggers do not capture what is published.",
            hint="Run `manage.py migrate` or `manage.py pubsubpull_triggers --sync`; `pubsubpull_triggers` lists all.",
            id="pubsubpull.W004",
        )
    ]


def _rights(using: str) -> list[CheckMessage]:
    ((role, missing),) = sql.run(
        using, sql.compose("queries/audit/missing", functions=sql.template("queries/audit/log_functions"))
    )
    if not missing:
        return []
    return [
        checks.Warning(
            f"Database {using}: The role {role} may not call {', '.join(missing)}, which the application needs.",
            hint=f"Where {role} is the application's role, GRANT EXECUTE on them, or run `manage.py "
            f"pubsubpull_protect --role {role}`, with the role that migrates.",
            id="pubsubpull.W051",
        )
    ]


def _levels(plan: planning.Plan) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for label, table in plan.tables.items():
        publication = registry.get(label)
        if publication and publication.level == "statement" and table.reasons():
            messages.append(
                checks.Warning(
                    f"{label} is captured per statement, but {'; '.join(table.reasons())}: "
                    "changes may be missed or come in the wrong order.",
                    hint="Publish it with level='auto' or level='row'.",
                    obj=publication.model,
                    id="pubsubpull.W006",
                )
            )
    return messages
