"""Models of tables that only the log's own functions write: the ORM reads them, and cannot change them."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models

from pubsubpull import exceptions


def _refuse(model: type[models.Model]) -> NoReturn:
    raise exceptions.LogIsReadOnly(
        f"{model._meta.label} is written by the change log's own functions alone. Change the application's rows, and "
        "the log follows; `pubsubpull_erase` empties what must be forgotten, and RETENTION drops what is old."
    )


def _refusing(name: str) -> Any:
    def method(self: Any, *_: Any, **__: Any) -> NoReturn:
        _refuse(self.model if isinstance(self, models.QuerySet) else type(self))

    method.__name__ = name
    method.__doc__ = "Raise `LogIsReadOnly`."
    # As Django has it of its own: a template that names it does not call it.
    method.alters_data = True  # type: ignore[attr-defined]
    return method


class ReadOnlyQuerySet(models.QuerySet[Any]):
    """Reads. Whatever writes raises `LogIsReadOnly`; Django's asynchronous forms call these."""

    create = _refusing("create")
    bulk_create = _refusing("bulk_create")
    bulk_update = _refusing("bulk_update")
    get_or_create = _refusing("get_or_create")
    update_or_create = _refusing("update_or_create")
    update = _refusing("update")
    delete = _refusing("delete")
    delete.queryset_only = True  # as Django's own: no manager has it


class ReadOnlyModel(models.Model):
    """A model whose rows are looked at. Whatever writes raises `LogIsReadOnly`."""

    objects = models.Manager.from_queryset(ReadOnlyQuerySet)()

    save = _refusing("save")
    delete = _refusing("delete")

    class Meta:
        abstract = True
        # Else `_base_manager`, which relations and other packages use, would be a plain one that writes.
        base_manager_name = "objects"

    def save_base(self, raw: bool = False, *_: Any, **__: Any) -> None:
        """Raise `LogIsReadOnly`, but pass by the row of a fixture: the log of another database is none of this one."""
        if not raw:
            _refuse(type(self))
