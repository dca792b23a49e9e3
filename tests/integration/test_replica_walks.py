"""Random walks of a source and its replicas: awkward values, filters, foreign keys, and one failing or another."""

from __future__ import annotations

import contextlib
import random

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import declaration
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.errors import constraint_errors
from pubsubpull.replica.models import ReplicaState
from pubsubpull.replica.sizes import Sizes
from pubsubpull.replica.tables.table import Table
from tests.replicas import models as here
from tests.shop import models as there

pytestmark = pytest.mark.django_db(transaction=True)
STATUS = ["100%", "%s {x} {}", 'it\'s \\ "odd"', "new", "%(limit)s"]
CONSTANT, DEFAULT = "%s {} {a} %% ' \\ %(y)s", "5% {of} %s %(x)s it's \\ "


class Adhoc(models.Model):
    """A table that a test makes and drops."""

    id = models.BigIntegerField(primary_key=True)

    class Meta:
        abstract = True
        app_label = "adhoc"
        managed = False


class Odd(Adhoc):
    status = models.TextField()
    number = models.TextField(unique=True)
    odd = models.TextField()
    version = models.BigIntegerField()
    mine = models.TextField(default=DEFAULT)


class Zone(Adhoc):
    name = models.TextField()


class Area(Adhoc):
    reference = models.TextField()
    customer = models.ForeignKey(Zone, on_delete=models.CASCADE, null=True)


@contextlib.contextmanager
def tables(*made):
    with connection.schema_editor() as editor:
        for model in made:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)


def step(dice, *, statuses, quantities, names):
    """Let something happen at the source."""
    what = dice.random()
    with transaction.atomic():
        customers, orders = list(there.Customer.objects.all()), list(there.Order.objects.all())
        given = {"status": dice.choice(statuses), "quantity": dice.choice(quantities)}
        if what < 0.2 or not customers:
            there.Customer.objects.create(name=dice.choice(names))
        elif what < 0.5:
            there.Order.objects.create(customer=dice.choice(customers), reference=str(dice.random()), **given)
        elif what < 0.7 and orders:
            key = dice.choice(orders).pk
            there.Order.objects.filter(pk=key).update(customer=dice.choice(customers), **given)
        elif what < 0.8:
            there.Customer.objects.filter(pk=dice.choice(customers).pk).update(name=dice.choice(names))
        elif what < 0.9 and orders:
            dice.choice(orders).delete()
        else:
            dice.choice(customers).delete()


def equal():
    assert list(here.Customer.objects.order_by("id").values_list("id", "name")) == list(
        there.Customer.objects.order_by("id").values_list("id", "name")
    )
    assert list(
        here.Order.objects.order_by("id").values_list("id", "number", "status", "quantity", "customer")
    ) == list(there.Order.objects.order_by("id").values_list("id", "reference", "status", "quantity", "customer"))


def replicate_odd():
    """Follow some orders with a model that has each kind of field."""
    fields = {"number": "reference", "odd": pubsubpull.constant(CONSTANT), "version": pubsubpull.VERSION, "mine": None}
    pubsubpull.replicates("shop.order", service="shop", where={"status": STATUS[:3]}, fields=fields)(Odd)


def odd_equal():
    kept = there.Order.objects.filter(status__in=STATUS[:3])
    assert set(Odd.objects.values_list("id", "number", "status")) == set(kept.values_list("id", "reference", "status"))
    assert set(Odd.objects.values_list("odd", "mine")) <= {(CONSTANT, DEFAULT)}
    newest = dict(Odd.objects.values_list("id", "version"))
    assert newest == dict(here.Order.objects.filter(pk__in=newest).values_list("id", "version"))
    assert not here.Order.objects.filter(version=0).exists()


@pytest.mark.parametrize("within", [contextlib.nullcontext, lambda: pubsubpull.context(user="x%s{}")])
def test_small_pages_leave_each_replica_equal_whatever_is_in_them(follower, outcomes, only, within):
    only("replicas.customer", "replicas.order", "replicas.stock")
    replicate_odd()
    dice = random.Random(4)
    with tables(Odd):
        follower.run_once()
        for _ in range(40):
            for _ in range(dice.randint(1, 5)):
                step(dice, statuses=STATUS, quantities=[1], names=["a", "n% {}"])
            with within():
                follower.run_once()
            equal()
            odd_equal()
    assert sum(name == "single_message" and isinstance(outcome, Applied) for name, outcome in outcomes) > 30


@pytest.mark.parametrize("seed", [7, 8])
def test_replicas_that_fail_by_turns_all_come_up_in_the_end(follow, only, seed):
    only("replicas.customer", "replicas.order", "replicas.stock", "replicas.paidorder", "replicas.shout")
    dice, failures = random.Random(seed), 0
    follower = follow(sizes=Sizes(page=20, compact_page=20))
    follower.run_once()
    checks = {"replicas_order": "quantity <> 13", "replicas_customer": "name <> 'bad'"}

    def due():
        ReplicaState.objects.exclude(next_attempt=None).update(next_attempt=timezone.now())

    with connection.cursor() as cursor:
        for table, check in checks.items():
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT fits CHECK ({check})")
        try:
            for _ in range(30):
                for _ in range(dice.randint(1, 6)):
                    step(dice, statuses=["new", "paid"], quantities=[1, 2, 13], names=["bad", "x", "y"])
                try:
                    follower.run_once()
                except exceptions.ReplicaFailed:
                    failures += 1
                if dice.random() < 0.5:
                    due()
        finally:
            for table in checks:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT fits")
    assert failures > 5
    for _ in range(3):
        due()
        with contextlib.suppress(exceptions.ReplicaFailed):
            follower.run_once()
    equal()
    assert ReplicaState.objects.values("cursor").distinct().count() == 1


def test_a_replica_waits_for_the_copy_of_a_new_replica_it_refers_to(follower, only):
    """Its name comes first, so it is copied first, and fails; the replica it needs never had a row."""
    only()
    pubsubpull.replicates("shop.order", service="shop", fields={"customer": None})(Area)
    with tables(Zone, Area):
        there.Order.objects.create(reference="a", customer=there.Customer.objects.create(name="c"))
        follower.run_once()
        pubsubpull.replicates("shop.customer", service="shop")(Zone)
        pubsubpull.replicates("shop.order", service="shop")(Area)
        with contextlib.suppress(exceptions.ReplicaFailed):
            follower.run_once()
        ReplicaState.objects.update(next_attempt=None)
        follower.run_once()
        assert Zone.objects.count() == 1
        assert Area.objects.get().customer_id == Zone.objects.get().pk


def test_a_check_that_fails_is_that_of_the_table_in_its_own_schema(only):
    class There(models.Model):
        class Meta:
            app_label = "adhoc"
            managed = False
            db_table = '"s1"."t"'

    class Anywhere(models.Model):
        class Meta:
            app_label = "adhoc"
            managed = False
            db_table = "t"

    class Diagnosis:
        schema_name, table_name, constraint_name, column_name = "s1", "t", "few", None

    class Cause(Exception):
        diag, sqlstate = Diagnosis, "23514"

    only()
    for model in (Anywhere, There):
        pubsubpull.replicates("shop.order", service="shop")(model)
    error = IntegrityError("check few")
    error.__cause__ = Cause()
    failed = constraint_errors.failure([Table(declaration.get(There))], error, using="default")
    assert (failed.name, failed.needs) == ("adhoc.there", None)
