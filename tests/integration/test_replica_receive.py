"""Following by push: a verified page is applied once, and missing changes are pulled."""

from __future__ import annotations

import json
import time

import pytest
from django.db import connection, transaction
from django.test import Client as Browser
from django.test import override_settings
from django.utils import timezone

from pubsubpull import conf, exceptions
from pubsubpull.replica import cohorts, pages, services
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.push import receive
from pubsubpull.wire import signing
from tests.integration.conftest import SECRETS
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/receive/shop/"


def put(page, *, secret=SECRETS[0], at=None, url=URL, **changed):
    """Send a page as the delivery worker would; return the answer."""
    name = receive.subscription_name(sources())
    body = json.dumps({"subscription": name, "previous": page.previous, **json.loads(page.body), **changed}).encode()
    headers = signing.headers([secret], notification="msg_1", timestamp=int(at or time.time()), body=body)
    return Browser().put(url, body, content_type="application/json", headers=headers)


def sources():
    return sorted({follows.source for follows in cohorts.of_service("shop")})


def page(after=None, **options):
    """Pull the page after where the replicas stand."""
    if after is None:
        after = cohorts.following("shop", "default", timezone.now())[0].cursor
    with services.get("shop").client() as client:
        return pages.changes(client, sources(), after, **options)


def test_a_notification_is_applied_once_and_a_repeat_is_told_where_we_are(follower):
    follower.run_once()
    there.Customer.objects.create(name="a")
    given = page()
    assert put(given).status_code == 204
    assert here.Customer.objects.get().name == "a"
    again = put(given)
    assert (again.status_code, again.json()) == (409, {"cursor": given.cursor})
    there.Customer.objects.update(name="b")
    assert put(page()).status_code == 204
    assert here.Customer.objects.get().name == "b"


def test_a_gap_is_answered_with_our_cursor(follower):
    follower.run_once()
    there.Customer.objects.create(name="a")
    first = page()
    there.Customer.objects.create(name="b")
    answer = put(page(first.cursor))
    assert (answer.status_code, answer.json()) == (409, {"cursor": first.previous})
    assert not here.Customer.objects.exists()


def test_a_replica_with_a_row_that_a_local_table_refers_to_fails_alone(follower):
    """It is not treated like a replica that waits for rows of others at another position."""
    order = there.Order.objects.create(reference="held")
    there.Stock.objects.create(warehouse="w", article=1)
    follower.run_once()
    before = ReplicaState.objects.get(name="replicas.stock").cursor
    there.Customer.objects.create(name="a")
    assert put(page()).status_code == 204
    ReplicaState.objects.filter(name="replicas.stock").update(cursor=before)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE remarks (about bigint REFERENCES replicas_order DEFERRABLE INITIALLY DEFERRED)")
        cursor.execute("INSERT INTO remarks SELECT id FROM replicas_order")
        try:
            order.delete()
            there.Customer.objects.create(name="b")
            main = ReplicaState.objects.get(name="replicas.order").cursor
            assert put(page(main)).status_code == 204
        finally:
            cursor.execute("DROP TABLE remarks")
    state = ReplicaState.objects.get(name="replicas.order")
    assert "public.remarks is no replica" in state.last_error
    assert here.Shout.objects.filter(shout="B").exists(), "the others go on"


def test_only_a_fresh_notification_signed_by_a_known_secret_is_applied(follower):
    follower.run_once()
    there.Customer.objects.create(name="a")
    given = page()
    assert put(given, secret=signing.new_secret()).status_code == 401
    assert put(given, at=time.time() - 1000).status_code == 401
    assert Browser().put(URL, given.body, content_type="application/json").status_code == 401
    assert Browser().get(URL).status_code == 405
    assert put(given, url="/receive/other/").status_code == 404
    assert not here.Customer.objects.exists()
    assert put(given, secret=SECRETS[1]).status_code == 204


def test_an_invalid_page_is_refused_and_an_oversized_one_not_read(follower, settings):
    follower.run_once()
    given = page()
    assert put(given, items=3).status_code == 400
    assert put(given, previous=None, items=[{}]).status_code == 400
    with override_settings(PUBSUBPULL={**conf.given(), "RECEIVE_LIMIT": 50}):
        assert put(given).status_code == 413


def test_a_subscription_to_other_models_moves_nothing(follower):
    """It would pass by the changes of the models that it does not bring."""
    follower.run_once()
    there.Customer.objects.create(name="a")
    given = page()
    answer = put(given, subscription="replica-of-others")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert cohorts.following("shop", "default", timezone.now())[0].cursor == given.previous


def test_before_the_rows_are_there_a_notification_is_to_come_again(shop):
    cohorts.enter("shop", "default")
    assert put(page("now")).status_code == 503


def test_a_replica_that_fails_is_left_behind_and_brought_up_by_a_later_notification(follower):
    follower.run_once()
    with connection.cursor() as run:
        run.execute("ALTER TABLE replicas_stock ADD CONSTRAINT few CHECK (amount < 10)")
    there.Stock.objects.create(warehouse="w", article=1, amount=20)
    there.Customer.objects.create(name="a")
    assert put(page()).status_code == 204
    assert here.Customer.objects.get().name == "a"
    assert ReplicaState.objects.get(name="replicas.stock").state == "failing"
    with connection.cursor() as run:
        run.execute("ALTER TABLE replicas_stock DROP CONSTRAINT few")
    ReplicaState.objects.filter(name="replicas.stock").update(next_attempt=timezone.now())
    there.Customer.objects.create(name="b")
    main = ReplicaState.objects.get(name="replicas.customer").cursor
    assert put(page(main)).status_code == 204
    assert here.Stock.objects.get().amount == 20
    assert ReplicaState.objects.values("cursor").distinct().count() == 1


def test_a_page_whose_rows_refer_to_a_later_one_pulls_that_too(follower):
    follower.run_once()
    with transaction.atomic():
        there.Order.objects.create(customer_id=7, reference="early")
        there.Customer.objects.create(id=7, name="late")
    given = page(limit=1)
    assert given.more
    assert put(given).status_code == 204
    assert here.Order.objects.get().customer.name == "late"


def test_consent_is_given_for_services_that_push(follower):
    def allowed(origin, url=URL):
        answer = Browser().options(url, headers={"WebHook-Request-Origin": origin})
        return answer.headers.get("WebHook-Allowed-Origin")

    assert allowed("shop") == "shop"
    assert [allowed(other) for other in ("attacker.example", "*", "", "shop.example", "shop, x")] == [None] * 5
    given = conf.get().SERVICES["shop"]
    with override_settings(PUBSUBPULL={"SERVICES": {"shop": {**given, "origin": "Shop.Example"}}}):
        assert [allowed("shop.example"), allowed("shop")] == ["shop.example", None]
    assert allowed("shop", "/receive/other/") is None


def test_consent_under_another_name_is_logged_once_for_each_name(follower, caplog):
    receive.refused.forget("shop")
    for origin in ("late.example", "later.example", *map(str, range(50))):
        for _ in range(3):
            Browser().options(URL, headers={"WebHook-Request-Origin": origin})
    asked = [record.args[1] for record in caplog.records if "asked for consent" in record.msg]
    assert asked[:2] == ["late.example", "later.example"]
    assert len(asked) == len(set(asked)) <= 10


def test_subscribing_needs_a_secret_and_rows_and_removes_earlier_subscriptions(follower, shop):
    service = services.get("shop")
    with pytest.raises(exceptions.ReplicaError, match="no rows yet"):
        receive.subscribe(service, "http://127.0.0.1:9/receive/shop/", using="default")
    follower.run_once()
    with service.client() as client:
        client.subscribe("replica-before", "http://127.0.0.1:9/", ["shop.customer"])
        name = receive.subscribe(service, "http://127.0.0.1:9/receive/shop/", using="default")
        assert [one["name"] for one in client.subscriptions()] == [name]
    bare = services.Service(name="shop", url=service.url, token=service.token, secrets=())
    with pytest.raises(exceptions.ReplicaError, match="no secrets"):
        receive.subscribe(bare, "http://127.0.0.1:9/receive/shop/", using="default")
    assert not any(secret in repr(service) for secret in [*SECRETS, shop["token"]])
