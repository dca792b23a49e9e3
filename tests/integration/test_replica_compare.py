"""Comparing a replica with its source, and repairing it."""

from __future__ import annotations

import io

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from pubsubpull import Client, exceptions
from pubsubpull.pull import consumers
from pubsubpull.replica import declaration, services
from pubsubpull.replica import follower as replica_follower
from pubsubpull.replica.compare import judge
from pubsubpull.replica.sizes import Sizes
from tests.replicas import models as here
from tests.sessions import session
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follower(live_server):
    """Give a follower of the shop, which the same process serves."""
    token = consumers.add("billing", ["*"])[1]
    service = {"url": f"{live_server.url}/pubsubpull/", "token": token}
    with override_settings(PUBSUBPULL={"SERVICE_NAME": "shop", "SERVICES": {"shop": service}}):
        yield replica_follower.Follower("shop", using="default")


def write(count=50):
    there.Customer.objects.bulk_create(there.Customer(name=f"c{n}", email=f"{n}@x") for n in range(count))
    there.Order.objects.bulk_create(
        there.Order(reference=str(n), quantity=n, total=n, status="paid" if n % 2 else "new", card="4711")
        for n in range(count)
    )
    there.Stock.objects.bulk_create(there.Stock(warehouse=f"W{n % 3} x", article=n) for n in range(count))


def compared(model, **options):
    replica = declaration.get(model)
    with services.get("shop").client() as client:
        return judge.compare(replica, client, using="default", pause=lambda _: None, **options)


def found(result):
    return {(one.kind, one.key) for one in result.differences}


ALL = [here.Customer, here.Order, here.Shout, here.PaidOrder, here.BigOrder, here.Stock]


@pytest.mark.parametrize("model", ALL)
def test_a_replica_that_follows_is_equal_whatever_its_mapping(follower, model):
    write()
    follower.run_once()
    result = compared(model)
    assert (found(result), result.unsettled) == (set(), ())
    assert result.rows in {None, 25 if model is here.PaidOrder else 50}
    if model is not here.BigOrder:  # of whose rows only a function knows
        assert result.suspects == 0


def test_missing_extra_and_different_rows_are_named_and_repaired(follower):
    write()
    follower.run_once()
    first, second, *_, last = here.Customer.objects.order_by("id")
    here.Customer.objects.filter(pk=first.pk).delete()
    here.Customer.objects.filter(pk=second.pk).update(email="other")
    here.Customer.objects.create(pk=last.pk + 1000, name="made up")
    wrong = {("missing", str(first.pk)), ("different", str(second.pk)), ("extra", str(last.pk + 1000))}
    assert found(compared(here.Customer)) == wrong
    assert found(compared(here.Customer, repair=True)) == wrong
    assert found(compared(here.Customer)) == set()
    assert here.Customer.objects.get(pk=second.pk).email == second.email


def test_a_composite_key_is_named_as_on_the_wire(follower):
    write(5)
    follower.run_once()
    here.Stock.objects.filter(article=3).update(amount=7)
    here.Stock.objects.filter(article=4).delete()
    here.Stock.objects.create(warehouse='W "9', article=1)
    wrong = {("different", '["W0 x", 3]'), ("missing", '["W1 x", 4]'), ("extra", '["W \\"9", 1]')}
    assert found(compared(here.Stock, repair=True)) == wrong
    assert found(compared(here.Stock)) == set()


def test_rows_that_no_longer_concern_a_replica_are_extra(follower):
    write(6)
    follower.run_once()
    some = there.Order.objects.get(reference="2")
    here.PaidOrder.objects.create(pk=some.pk, reference="2", status="paid")
    assert found(compared(here.PaidOrder, repair=True)) == {("extra", str(some.pk))}
    assert not here.PaidOrder.objects.filter(pk=some.pk).exists()


def test_changes_that_have_not_come_yet_are_no_differences(follower):
    """The replica's cursor is before them: the differences are still to arrive."""
    write(6)
    follower.run_once()
    there.Customer.objects.filter(name="c1").update(email="new")
    there.Customer.objects.filter(name="c2").delete()
    late = there.Customer.objects.create(name="late")
    result = compared(here.Customer)
    assert found(result) == set()
    assert len(result.unsettled) == 3
    assert str(late.pk) in result.unsettled
    compared(here.Customer, repair=True)
    assert not here.Customer.objects.filter(pk=late.pk).exists()  # nothing is anticipated
    follower.run_once()
    assert compared(here.Customer).unsettled == ()


def test_rows_that_arrive_while_it_looks_are_judged_then(follower):
    write(6)
    follower.run_once()
    there.Customer.objects.filter(name="c1").update(email="new")
    replica = declaration.get(here.Customer)
    with services.get("shop").client() as client:
        result = judge.compare(replica, client, using="default", pause=lambda _: follower.run_once())
    assert (found(result), result.unsettled) == (set(), ())
    assert result.suspects == 1


def test_a_wrong_row_beside_changes_in_flight_is_still_found(follower):
    write(6)
    follower.run_once()
    there.Customer.objects.filter(name="c1").update(email="new")
    here.Customer.objects.filter(name="c2").update(email="wrong")
    result = compared(here.Customer, repair=True)
    assert [one.kind for one in result.differences] == ["different"]
    assert len(result.unsettled) == 1
    follower.run_once()
    assert found(compared(here.Customer)) == set()


def test_many_ranges_cover_every_row_once(follower):
    write(300)
    follower.run_once()
    for table in ("shop_customer", "shop_stock"):
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {table}")
    for model in (here.Customer, here.Stock):
        few = {"sizes": Sizes(hashed_rows=10)}
        result = compared(model, **few)
        assert result.ranges > 8
        assert (result.rows, result.suspects) == (300, 0)
        model.objects.all().delete()
        assert len(compared(model, repair=True, **few).differences) == 300
        assert compared(model, **few).suspects == 0


def test_the_command_reports_differences_and_ends_with_a_status(follower):
    write(3)
    follower.run_once()
    out = io.StringIO()
    call_command("pubsubpull_compare", stdout=out)
    assert "replicas.customer: 3 rows, equal to shop.customer." in out.getvalue()
    here.Customer.objects.all().delete()
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("pubsubpull_compare", "replicas.customer", "--show", "1", stdout=out)
    assert ended.value.code == 1
    assert "3 missing, 0 extra, 0 different." in out.getvalue()
    assert "and 2 more" in out.getvalue()
    out = io.StringIO()
    call_command("pubsubpull_compare", "replicas.customer", "--repair", stdout=out)
    assert "3 missing, 0 extra, 0 different, repaired." in out.getvalue()
    there.Customer.objects.update(name="new")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("pubsubpull_compare", "replicas.customer", stdout=out)
    assert "3 rows have changes that the replica has not applied" in out.getvalue()


def test_an_impossible_comparison_gives_its_reason(follower):
    with pytest.raises(CommandError, match=r"shop\.customer is not a replica"):
        call_command("pubsubpull_compare", "shop.customer")
    with pytest.raises(exceptions.ReplicaError, match="has not been copied yet"):
        compared(here.Customer)


class Between(Client):
    """A client during whose reading of suspects something else happens."""

    def __init__(self, client, happens):
        super().__init__(client.url, "none")
        self._session = client._session
        self.happens = happens

    def text(self, url, **options):
        found = super().text(url, **options)
        if url.endswith("/rows/"):
            self.happens()
        return found


def test_the_replica_stays_at_its_cursor_while_rows_are_judged(follower):
    """A page applied in between would make the source's answer a false alarm, or its repair a lost update."""
    write(3)
    follower.run_once()
    here.Customer.objects.filter(name="c1").update(email="wrong")
    held = []

    def happens():
        with session() as other:
            other.execute("UPDATE shop_customer SET email = 'newer' WHERE name = 'c1'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("SELECT 1 FROM pubsubpull_replica WHERE name = 'replicas.customer' FOR UPDATE NOWAIT")
        held.append(True)

    with services.get("shop").client() as client:
        replica = declaration.get(here.Customer)
        result = judge.compare(replica, Between(client, happens), repair=True, using="default", pause=lambda _: None)
    assert held
    assert (found(result), len(result.unsettled)) == (set(), 1)
    assert here.Customer.objects.get(name="c1").email == "wrong", "nothing is repaired with a row that has changed"
    follower.run_once()
    assert here.Customer.objects.get(name="c1").email == "newer"
