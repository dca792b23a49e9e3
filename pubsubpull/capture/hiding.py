"""Hides excluded and masked columns of changes that the log recorded before they were excluded or masked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from psycopg import sql as psql

from pubsubpull.capture import registry, sql

if TYPE_CHECKING:
    from collections.abc import Collection

    from pubsubpull.capture.registry import Publication

MASKED = "***"
"""The constant that readers get for a masked value."""

Hidden = tuple[str, tuple[str, ...], tuple[str, ...]]
"""A model's label, its excluded columns and its masked columns."""


def hidden(models: Collection[str] | None) -> tuple[Hidden, ...]:
    """Return the hidden columns of the models with these labels, or of all models for None."""
    return tuple(
        (publication.label, tuple(publication.excluded_columns), tuple(publication.masked_columns))
        for publication in _hiding(models)
    )


def columns(models: Collection[str]) -> tuple[list[str], str]:
    """Return the excluded columns of these models, and a JSON object: by label, the constant of each masked column."""
    hidden_columns = hidden(models)
    stars = {label: dict.fromkeys(masked, MASKED) for label, _, masked in hidden_columns if masked}
    return sorted({name for _, excluded, _ in hidden_columns for name in excluded}), json.dumps(stars)


def labels_of(column: str | None) -> list[str]:
    """Return the labels of the models that exclude or mask a column of this name; empty for None."""
    return [label for label, excluded, masked in hidden(None) if column in {*excluded, *masked}]


def shown(data: str, models: Collection[Hidden], *, alias: str = "") -> psql.Composable:
    """Return an SQL expression for a row image of a change without the hidden columns of `models`.

    `data` is the column of the change that holds the image, `alias` the alias of the change in the query.
    """
    qualifier = [alias] if alias else []
    image, model = psql.Identifier(*qualifier, data), psql.Identifier(*qualifier, "model")
    if not models:
        return image
    parts: list[dict[str, Any]] = [
        {
            "label": label,
            "excluded": list(excluded),
            "masked": list(masked),
            "stars": json.dumps(dict.fromkeys(masked, MASKED)),
        }
        for label, excluded, masked in models
    ]
    # A case for each label: another model may show a column of the same name.
    cases = [sql.compose("queries/images/hidden", data=image, model=model, **part) for part in parts]
    return sql.compose("queries/images/shown", data=image, cases=psql.SQL("\n").join(cases))


def _hiding(models: Collection[str] | None) -> list[Publication]:
    """Return the publications with hidden columns among the models with these labels, or among all for None."""
    publications = registry.all_publications().values()
    return [p for p in publications if p.hides and (models is None or p.label in models)]
