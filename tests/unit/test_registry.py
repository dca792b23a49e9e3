"""publish(), and its refusals."""

from __future__ import annotations

import pytest
from django.db import models
from django.test.utils import isolate_apps, override_settings

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.audit.history import targets
from pubsubpull.capture import registry
from pubsubpull.checks import publications as publications_checks
from pubsubpull.pull import consumers
from tests.shop.models import Customer, Order, PaidOrder, Quoted, Restaurant, Secret, Stock


@pytest.fixture(autouse=True)
def _publications():
    before = dict(registry._publications)
    yield
    registry._publications.clear()
    registry._publications.update(before)


def test_publish_returns_the_model_as_a_call_and_as_a_decorator():
    assert pubsubpull.publish(Secret) is Secret
    assert pubsubpull.publish(exclude=["text"])(Secret) is Secret
    assert registry.get("shop.secret").excluded_columns == ["text"]


def test_a_publication_knows_its_columns_and_its_table():
    assert registry.get("shop.order").masked_columns == ["card"]
    assert registry.get("shop.stock").key_columns == ["warehouse", "article"]
    assert registry.get("shop.quoted").table == ("Other Schema", "The Table")
    assert registry.get("shop.customer").table == (None, "shop_customer")
    assert registry.get("shop.restaurant").key_columns == ["place_ptr_id"]
    assert registry.split_table('"quoted"') == (None, "quoted")
    assert registry.split_table('other"."table') == ("other", "table")
    pubsubpull.publish(Order, exclude=["customer"])
    assert registry.get("shop.order").excluded_columns == ["customer_id"]


def test_a_proxy_stands_for_its_model():
    pubsubpull.publish(PaidOrder, mask=["status"])
    assert registry.get("shop.paidorder") is None
    assert registry.get("shop.order").mask == ("status",)


@isolate_apps()
def test_a_model_of_an_app_with_capitals_in_its_label_is_called_by_lower_case_and_found_by_either():
    published = _model("Odd", "Camel")
    pubsubpull.publish(published)
    assert registry.get("Odd.Camel") is registry.get("odd.camel")
    assert registry.get("odd.camel").label == "odd.camel"
    assert targets.label(published) == "odd.camel"
    assert consumers.checked(["Odd.Camel"]) == ["odd.camel"]
    pubsubpull.unpublish(published)
    assert registry.get("odd.camel") is None


@isolate_apps()
def test_two_models_that_would_be_called_the_same_are_refused():
    pubsubpull.publish(_model("Odd", "Camel"))
    with pytest.raises(exceptions.PublicationError, match=r"odd\.Camel would be called odd\.camel, as Odd\.Camel is"):
        pubsubpull.publish(_model("odd", "Camel"))


def test_a_model_that_is_published_twice_and_otherwise_is_told_of():
    pubsubpull.publish(Customer)
    assert "pubsubpull.W012" not in [found.id for found in publications_checks.check_publications()]
    pubsubpull.publish(PaidOrder)
    (told,) = [found for found in publications_checks.check_publications() if found.id == "pubsubpull.W012"]
    assert "shop.order is published more than once" in told.msg
    assert told.hint
    pubsubpull.unpublish(Order)
    assert registry.replaced() == []


@isolate_apps()
def test_a_model_that_is_swapped_for_another_is_refused():
    model = _model("odd", "Camel", swappable="ODD_CAMEL")
    with (
        override_settings(ODD_CAMEL="zoo.Camel"),
        pytest.raises(exceptions.PublicationError, match=r"odd\.Camel is swapped for zoo\.Camel .*; publish that"),
    ):
        pubsubpull.publish(model)


def _model(app, name, **meta):
    meta = type("Meta", (), {"app_label": app, **meta})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta})


def test_publications_are_listed_by_label():
    labels = list(registry.all_publications())
    assert labels == sorted(labels)
    assert "shop.order_tags" in labels
    pubsubpull.unpublish(Customer)
    pubsubpull.unpublish(Customer)
    assert registry.get("shop.customer") is None


class Abstract(models.Model):
    class Meta:
        abstract = True
        app_label = "shop"


@pytest.mark.parametrize(
    ("model", "options", "reason"),
    [
        ("shop.Secret", {}, "takes a model class"),
        (object, {}, "takes a model class"),
        (Abstract, {}, "is abstract"),
        (Secret, {"exclude": ["nothing"]}, "no column for a field 'nothing'"),
        (Secret, {"exclude": "text"}, 'not the text "text"'),
        (Secret, {"level": "page"}, "level is one of auto, statement, row"),
        (Secret, {"exclude": ["text"], "mask": ["text"]}, "not both"),
        (Secret, {"mask": ["id"]}, "part of the primary key"),
        (Stock, {"exclude": ["article"]}, "article is part of the primary key"),
        (Order, {"exclude": ["tags"]}, "no column for a field 'tags'"),
        (Customer, {"mask": ["order"]}, "no column for a field 'order'"),
    ],
)
def test_an_unpublishable_model_is_refused_by_name_and_changes_nothing(model, options, reason):
    before = registry.all_publications()
    with pytest.raises(exceptions.PublicationError, match=reason):
        pubsubpull.publish(model, **options)
    assert registry.all_publications() == before


def test_a_child_without_its_parent_is_warned_of():
    assert publications_checks.check_publications() == []
    pubsubpull.unpublish(Restaurant.__base__)
    (warning,) = publications_checks.check_publications()
    assert (warning.id, warning.obj) == ("pubsubpull.W002", Restaurant)


def test_an_unknown_database_is_an_error():
    pubsubpull.unpublish(Quoted)
    pubsubpull.publish(Quoted, using="nowhere")
    (error,) = publications_checks.check_publications()
    assert (error.id, "'nowhere'" in error.msg) == ("pubsubpull.E003", True)
