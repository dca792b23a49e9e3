"""Models that the ORM may read and not change, as only the log's functions write their tables."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models

from pubsubpull import exceptions


def _refuse(model: type[models.Model]) -> NoReturn:
    raise exceptions.LogIsReadOnly(
        f"{model._meta.label} is written by the change log's own functions alone. Change the application's rows, and "
        "the log follows. `pubsubpull_erase` removes an object's values from the log; RETENTION drops old changes."
    )


def _refusing(name: str) -> Any:
    def method(self: Any, *_: Any, **__: Any) -> NoReturn:
        _refuse(self.model if isinstance(self, models.QuerySet) else type(self))

    method.__name__ = name
    method.__doc__ = "Raise `LogIsReadOnly`."
    # Django's own methods have this mark: a template that names such a method does not call it.
    method.alters_data = True  # type: ignore[attr-defined]
    return method


class ReadOnlyQuerySet(models.QuerySet[Any]):
    """A queryset that reads. Each method that writes raises `LogIsReadOnly`."""

    # Django's asynchronous forms (`acreate` and so on) call these, and so are refused as well.
    create = _refusing("create")
    bulk_create = _refusing("bulk_create")
    bulk_update = _refusing("bulk_update")
    get_or_create = _refusing("get_or_create")
    update_or_create = _refusing("update_or_create")
    update = _refusing("update")
    delete = _refusing("delete")
    # Django's own `delete` has this mark, so that no manager offers it.
    delete.queryset_only = True


class ReadOnlyModel(models.Model):
    """A model that reads. Each method that writes raises `LogIsReadOnly`."""

    objects = models.Manager.from_queryset(ReadOnlyQuerySet)()

    save = _refusing("save")
    delete = _refusing("delete")

    class Meta:
        abstract = True
        # Without this, `_base_manager`, which relations and other packages use, would be a plain manager that writes.
        base_manager_name = "objects"

    def save_base(self, raw: bool = False, *_: Any, **__: Any) -> None:
        """Raise `LogIsReadOnly`, but skip the row of a fixture."""
        # `loaddata` calls this with raw=True. The log in a fixture is that of another database: it is not loaded, and
        # the fixture's other rows are.
        if not raw:
            _refuse(type(self))
