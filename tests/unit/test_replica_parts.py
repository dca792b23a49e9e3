"""Replicas without a database: declarations, settings and pages."""

from __future__ import annotations

import contextlib
import json

import pytest
from django.apps import apps
from django.db import models
from django.test import override_settings

import pubsubpull
from pubsubpull import conf, exceptions
from pubsubpull.replica import checks, declaration, pages, services
from pubsubpull.replica import declare as declaring
from pubsubpull.replica.push import receive
from tests.replicas import models as here


@pytest.fixture
def declare():
    """Declare replicas on models that are gone after the test."""
    made = []

    def declare(source="shop.order", *, meta=None, parents=(models.Model,), service="shop", options=None, **fields):
        name = f"Declared{len(made)}"
        inner = type("Meta", (), {"app_label": "replicas", **(meta or {})})
        made.append(type(name, parents, {"__module__": here.__name__, "Meta": inner, **fields}))
        return pubsubpull.replicates(source, service=service, **(options or {}))(made[-1])

    yield declare
    for model in made:
        declaration.forget(model)
        apps.all_models["replicas"].pop(model._meta.model_name, None)
    apps.clear_cache()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fields": {"nothing": "a"}}, "has no column for a field 'nothing'"),
        ({"fields": {"name": 3}}, "name is a column's name, constant"),
        ({"fields": {"id": None}}, "id must take a column of the source's primary key"),
        ({"fields": {"id": lambda row: row["id"]}}, "id must take a column"),
        ({"key": "id"}, "key is a list of names"),
        ({"where": 3}, "where is a dict or a function"),
    ],
)
def test_a_wrong_declaration_names_the_mistake(declare, options, reason):
    with pytest.raises(exceptions.ReplicaError, match=reason):
        declare(name=models.TextField(), options=options)


def test_a_replica_is_a_model_with_one_table_and_its_source_has_an_app(declare):
    with pytest.raises(exceptions.ReplicaError, match="one table of its own"):
        declare(meta={"abstract": True})
    with pytest.raises(exceptions.ReplicaError, match="one table of its own"):
        declare(meta={"proxy": True}, parents=(here.Stock,))
    with pytest.raises(exceptions.ReplicaError, match=r"app_label\.modelname"):
        declare("order")


def test_the_shape_differs_where_the_declaration_does_and_only_there():
    def shape(**options):
        return declaring.declare(
            here.Note, "shop.order", "shop", options.get("fields", {}), where=options.get("where"), key=None
        ).shape

    first = shape()
    assert first == shape()
    others = [
        shape(fields={"text": "reference"}),
        shape(fields={"text": pubsubpull.constant("a")}),
        shape(fields={"text": pubsubpull.constant("b")}),
        shape(fields={"text": pubsubpull.VERSION}),
        shape(fields={"text": here.shout}),
        shape(fields={"text": None}),
        shape(where={"a": 1}),
        shape(where={"a": [1]}),
    ]
    assert len({first, *others}) == len(others) + 1


def test_a_key_that_is_not_unique_is_an_error(declare):
    given = {"options": {"key": ["other"], "fields": {"id": None}}}
    declare(other=models.IntegerField(), **given)
    declare(other=models.IntegerField(unique=True), **given)
    declare(other=models.IntegerField(), meta={"unique_together": [("other",)]}, **given)
    one = models.UniqueConstraint(fields=["other"], name="one_of_replicas")
    declare(other=models.IntegerField(), meta={"constraints": [one]}, **given)
    partial = models.UniqueConstraint(fields=["other"], name="some_of_replicas", condition=models.Q(other__gt=1))
    declare(other=models.IntegerField(), meta={"constraints": [partial]}, **given)
    found = [message.obj.__name__ for message in checks.check_replicas() if message.id == "pubsubpull.E021"]
    assert found == ["Declared0", "Declared4"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "must be a dict of services"),
        ({"a b": {}}, "has a name that is not of letters"),
        ({"shop": {"url": "https://x"}}, "must be a dict of url, token"),
        ({"shop": {"url": "", "token": "sesame"}}, "must have texts"),
        ({"shop": {"url": "ftp://x", "token": "sesame"}}, "begins with http"),
        ({"shop": {"url": "https://x", "token": "t", "secrets": "sesame"}}, "must have a list of texts"),
    ],
)
def test_a_wrong_service_is_reported_without_its_secrets(value, reason):
    ((name, found),) = conf.problems({"SERVICES": value})
    assert name == "SERVICES"
    assert reason in found
    assert "sesame" not in found


def test_a_service_shows_no_secret_and_an_unknown_one_is_an_error():
    with override_settings(
        PUBSUBPULL={"SERVICES": {"shop": {"url": "https://x", "token": "sesame", "secrets": ["open"]}}}
    ):
        shown = repr(services.get("shop")) + repr(conf.get())
        with pytest.raises(exceptions.ReplicaError, match="no service 'other' .* there are: shop"):
            services.get("other")
    assert "sesame" not in shown
    assert "open" not in shown


class Texts:
    """A client that gives one text."""

    url, timeout = "https://x/", 1.0

    def __init__(self, text):
        self._text = text

    def text(self, *_, **__):
        return self._text


def test_a_page_is_read_however_another_implementation_writes_it():
    strange = '{"more": true,\n "cursor": "b", "items": [{"new": {"a": "\\"cursor\\":\\"x\\",\\"more\\":false}"}}]}'
    for text in ('{"items":[],"cursor":"b","more":true}', strange):
        page = pages.changes(Texts(text), ["shop.order"], "a")
        assert (page.previous, page.cursor, page.more) == ("a", "b", True)
    rows = '{"items": [], "cursor": "b", "next": "https://x/?after=%5B1%5D&limit=2"}'
    assert pages.rows(Texts(rows), "shop.order", at=None, until=None, cursor="b").last == "[1]"
    rows = '{"model":"a","items":[{"key":"1","data":"],\\"next\\":3"}],"next":null,"cursor":"b"}'
    assert pages.rows(Texts(rows), "shop.order", at=None, until=None, cursor="b").last is None


class Either(Texts):
    """A session with another text or error for compact pages."""

    def __init__(self, compact):
        super().__init__('{"items":[],"cursor":"whole","more":true}')
        self._compact = compact

    def text(self, url, *, params, **options):
        if "compact" not in params:
            assert params["old"] == "false"
            return self._text
        if isinstance(self._compact, Exception):
            raise self._compact
        return self._compact


def test_a_compact_page_is_read_by_its_lines():
    text = '{"models":{\n"a.b":{"columns":["x","],\\"items\\":["],"items":[[1,"1","insert",[1,"}],"]]]},\n'
    text += '"a.c":{"columns":[],"items":[[2,null,"truncate",null]]}\n},"cursor":"c","more":false}'
    page = pages.compact(Either(text), ["a.b", "a.c"], "b")
    assert (page.previous, page.cursor, page.more, page.empty) == ("b", "c", False, False)
    assert page.parts["a.b"].columns == ("x", '],"items":[')
    assert json.loads(page.parts["a.b"].items) == [[1, "1", "insert", [1, "}],"]]]
    assert json.loads(page.parts["a.c"].items) == [[2, None, "truncate", None]]
    nothing = '{"models":{\n},"cursor":"c","more":true}'
    assert pages.compact(Either(nothing), ["a.b"], "b").empty


@pytest.mark.parametrize(
    "text",
    [
        '{"models":{"a.b":{"columns":[],"items":[]}},"cursor":"c","more":false}',
        '{"models":{\n"a.b":{"columns":[]}\n},"cursor":"c","more":true}',
        '{"models":{\n"a.b":{"names":[],"items":[]}\n},"cursor":"c","more":true}',
        '{"models":{\n"a.b":[]\n},"cursor":"c","more":true}',
        '{"models":{\n},"more":true,"cursor":"c"}',
        '{"models":{\n"a.b":{"columns":[],"items":[]},\n"a.b":{"columns":[],"items":[]}\n},"cursor":"c","more":true}',
        "",
        exceptions.RequestRefused(400, {"detail": "compact: is no parameter of this call"}),
    ],
)
def test_a_service_that_writes_or_knows_no_such_page_is_asked_for_a_whole_one(text):
    assert pages.compact(Either(text), ["a.b"], "b").cursor == "whole"


def test_another_refusal_is_not_answered_with_another_question():
    with pytest.raises(exceptions.RequestRefused):
        pages.compact(Either(exceptions.RequestRefused(403, {})), ["a.b"], "b")


@pytest.mark.parametrize("room", [0, 10, 2**20])
def test_a_spool_gives_its_pages_as_often_as_they_are_asked_for(room):
    texts = ['{"items":[1]}', '{"items":[]}', '{"items":["ä\U0001f600"]}', '{"items":[2]}']
    made = [pages.Page(body=text, previous=str(n), cursor=str(n + 1), more=n < 3) for n, text in enumerate(texts)]
    with contextlib.closing(pages.Spool(made[0], in_memory=room)) as spool:
        assert (list(spool), spool.cursor) == (made[:1], "1")
        for page in made[1:]:
            spool.add(page)
        for _ in range(2):
            assert list(spool) == [made[0], made[2], made[3]]
        one, other = iter(spool), iter(spool)
        assert [next(one), next(other), next(one), next(other)] == [made[0], made[0], made[2], made[2]]
        assert spool.cursor == "4"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"items":[]}'])
def test_an_invalid_page_is_an_error_of_the_service(text):
    with pytest.raises(exceptions.ServiceError, match="no page of changes"):
        pages.changes(Texts(text), ["shop.order"], "a")
    with pytest.raises(exceptions.ServiceError, match="no page of rows"):
        pages.rows(Texts(text), "shop.order", at=None, until=None, cursor="a")


def test_the_subscription_of_other_models_has_another_name():
    names = {receive.subscription_name(models) for models in (["a.b"], ["a.b", "a.c"], ["a.bc"])}
    assert len(names) == 3


def test_a_source_is_named_by_its_label_and_not_by_a_class():
    with pytest.raises(exceptions.ReplicaError, match="takes the source's label, as 'shop.order'"):
        pubsubpull.replicates(object, service="shop")
