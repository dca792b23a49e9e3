"""Hiding: what is excluded or masked by now is not read from the log, whatever that has from before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.capture.registry import Publication

MASKED = "***"
"""What stands for a masked value."""

Hidden = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A model's label, its excluded columns and its masked ones."""


def hidden(models: Collection[str] | None) -> tuple[Hidden, ...]:
    """Return what is hidden of these models, or of all, None; of none of them nothing."""
    return tuple(_hidden(one) for one in _hiding(models))


def columns(models: Collection[str]) -> tuple[list[str], str]:
    """Return the excluded columns of these models, and as JSON by label what their masked columns hold."""
    found = hidden(models)
    stars = {label: dict.fromkeys(masked, MASKED) for label, _, masked in found if masked}
    return sorted({name for _, excluded, _ in found for name in excluded}), json.dumps(stars)


def labels_of(column: str | None) -> list[str]:
    """Return the labels of the models that a column of this name is hidden of; none for None."""
    return [label for label, excluded, masked in hidden(None) if column in {*excluded, *masked}]


def shown(data: str, what: Collection[Hidden], *, alias: str = "") -> psql.Composable:
    """Return an image of a change, the column `data`, without what is hidden of it; `alias` is that of the change."""
    names = [alias] if alias else []
    image, model = psql.Identifier(*names, data), psql.Identifier(*names, "model")
    if not what:
        return image
    parts: list[dict[str, Any]] = [
        {
            "label": label,
            "excluded": list(excluded),
            "masked": list(masked),
            "stars": json.dumps(dict.fromkeys(masked, MASKED)),
        }
        for label, excluded, masked in what
    ]
    cases = [sql.compose("queries/images/hidden", data=image, model=model, **part) for part in parts]
    return sql.compose("queries/images/shown", data=image, cases=psql.SQL("\n").join(cases))


def _hiding(models: Collection[str] | None) -> list[Publication]:
    found = registry.all_publications().values()
    return [one for one in found if one.hides and (models is None or one.label in models)]


def _hidden(one: Publication) -> Hidden:
    return one.label, tuple(one.excluded_columns), tuple(one.masked_columns)
