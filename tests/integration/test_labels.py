"""A renamed model: records under its old label stay in use or are carried over, and each case is reported."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

import pubsubpull
from pubsubpull import conf, exceptions
from pubsubpull.audit.integrity import seals
from pubsubpull.capture import registry, syncing
from pubsubpull.checks import database as database_checks
from pubsubpull.checks import publications as publications_checks
from pubsubpull.log import feed
from pubsubpull.models import Change, Subscription
from pubsubpull.operate import health, labels
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import backfill_position, service
from tests.shop.models import Place, Secret

pytestmark = pytest.mark.django_db(transaction=True)
OLD = "shop.spot"
"""What Place was called, in these tests."""


def publish(label=None):
    pubsubpull.publish(Place, label=label)
    syncing.sync()


@pytest.fixture
def named():
    """Publish Place under the label that it had before it was renamed; after the test as it is."""
    publish(OLD)
    yield
    publish()


@pytest.fixture
def kept(named, settings):
    """Leave traces of the old label: two changes, a grant and a subscription. Then rename the model."""
    place = Place.objects.create(name="a")
    Place.objects.update(name="b")
    consumer, _ = consumers.add("billing", [OLD, "shop.order"], may_subscribe=True)
    settings.PUBSUBPULL = {**settings.PUBSUBPULL, "CALLBACK_ADDRESSES": ["127.0.0.0/8"]}
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=[OLD, "shop.order"], instances=True)
    service.put(consumer, "main", wish)
    publish()
    return place


def run(*arguments, capsys):
    call_command(*arguments)
    return capsys.readouterr().out.strip()


def analyze():
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pubsubpull_change")


def test_a_model_published_under_its_old_label_goes_on_as_it_was(kept):
    publish(OLD)
    Place.objects.update(name="c")
    assert [entry.op for entry in pubsubpull.history(kept)] == ["update", "update", "insert"]
    assert [entry.op for entry in pubsubpull.history("shop.place", kept.pk)] == ["update", "update", "insert"]
    assert pubsubpull.as_of(Place, kept.pk, dt.datetime.now(dt.UTC)).data["name"] == "c"
    assert registry.get(OLD).model is Place
    assert registry.get("shop.place") is None
    assert consumers.granted(consumers.consumers().get(name="billing")) == ["shop.order", OLD]
    assert feed.page(None, limit=10, models=[OLD]).count == 3
    analyze()
    assert labels.unknown("default") == []
    assert pubsubpull.resend(kept) == 1
    assert Change.objects.latest("id").model == OLD


def test_a_check_names_changes_that_still_have_the_old_label(kept, capsys):
    analyze()
    (warning,) = [one for one in database_checks.check_labels(databases=["default"]) if OLD in one.msg]
    assert warning.id == "pubsubpull.W014"
    assert "consumer billing, subscription billing/main, the log" in warning.msg
    assert f'label="{OLD}"' in warning.hint
    assert database_checks.check_labels(databases=[]) == []
    assert run("pubsubpull_rename", capsys=capsys) == f"{OLD}: consumer billing, subscription billing/main, the log"


def test_health_and_the_lists_tell_of_it(kept, capsys):
    assert f"subscriptions name {OLD}" in health.checks(conf.get())["labels"]
    assert f"billing: shop.order, {OLD} (not published) subscribe" in run("pubsubpull_consumer", "list", capsys=capsys)
    assert f"{OLD} not published" in run("pubsubpull_subscriptions", "list", capsys=capsys)
    said = json.loads(run("pubsubpull_subscriptions", "list", "--json", capsys=capsys))
    assert said["unpublished"] == [OLD]


def test_carrying_over_reports_its_plan_first(kept, capsys):
    said = run("pubsubpull_rename", OLD, "shop.place", capsys=capsys)
    assert said.startswith("2 changes, the grants of 1 consumers, 1 subscriptions and 0 dead letters would")
    assert len(pubsubpull.history(kept)) == 0
    assert Subscription.objects.get().labels == ["shop.order", OLD]


def test_all_is_carried_over_and_versions_and_cursors_stay(kept, capsys):
    cursor = feed.page(None, limit=1, models=[OLD]).cursor
    versions = list(Change.objects.filter(model=OLD).order_by("id").values_list("id", flat=True))
    lease = Subscription.objects.get().lease
    assert "2 changes" in run("pubsubpull_rename", "Shop.Spot", "Shop.Place", "--yes", capsys=capsys)
    assert [entry.version for entry in pubsubpull.history(kept)] == versions[::-1]
    assert feed.page(cursor, limit=10, models=["shop.place"]).count == 1
    one = Subscription.objects.get()
    assert one.labels == ["shop.order", "shop.place"]
    assert backfill_position.decode(one.backfill).models == ("shop.order", "shop.place")
    assert one.lease == lease + 1, "a worker that reads by the old label may write nothing"
    assert consumers.consumers().get(name="billing").granted == ["shop.order", "shop.place"]
    assert labels.unknown("default") == []
    assert "is a published model's" in run("pubsubpull_rename", capsys=capsys)


def test_sealed_changes_keep_their_label(kept):
    feed.present()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pubsubpull_log SET settled = (SELECT max(id) FROM pubsubpull_change)")
    assert list(seals.seal("default", age=0))
    with pytest.raises(exceptions.PublicationError, match=r"2 changes of shop\.spot are sealed.*label=\"shop\.spot\""):
        labels.carry_over(OLD, "shop.place", using="default")
    assert Subscription.objects.get().labels == ["shop.order", OLD], "nothing is carried over by halves"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("shop.order", "shop.place"), "shop.order is published: its changes are its own"),
        ((OLD, "shop.nothing"), "shop.nothing is not published"),
        ((OLD,), "the label that the model is published under now"),
    ],
)
def test_labels_that_do_not_fit_are_refused(kept, arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("pubsubpull_rename", *arguments, "--yes")


def test_nothing_is_carried_over_while_triggers_may_write_the_old_label(named):
    pubsubpull.publish(Place)
    with pytest.raises(exceptions.PublicationError, match="run migrate"):
        labels.carry_over(OLD, "shop.place", using="default")


@pytest.mark.parametrize("wrong", ["place", "shop.Place", "a.b.c", "shop.", "", "shop.pl ace", "shop.a,b", 5])
def test_a_label_that_is_none_is_refused(wrong):
    with pytest.raises(exceptions.PublicationError, match="label is app_label.modelname"):
        pubsubpull.publish(Place, label=wrong)
    assert registry.get("shop.place").model is Place


def test_a_label_that_another_model_has_is_refused_or_an_error_of_the_checks(named):
    with pytest.raises(
        exceptions.PublicationError, match=r"shop\.Place would be called shop\.order, as shop\.Order is"
    ):
        pubsubpull.publish(Place, label="shop.order")
    pubsubpull.publish(Place, label=registry.own_label(Secret))
    assert [one.id for one in publications_checks.check_publications() if one.id != "pubsubpull.W012"] == [
        "pubsubpull.E014"
    ]


def test_a_place_in_the_rows_without_labels_stays_as_it_is():
    assert labels._backfill("", list) == ""
    place = backfill_position.BackfillPosition(
        models=("shop.order",), run=backfill_position.new_run(0.0), after="7"
    ).encode()
    assert labels._backfill(place, list) == place
