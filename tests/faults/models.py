"""The tables of pgbench's TPC-B, and a table that a Django service writes."""

from __future__ import annotations

from django.db import models

import pubsubpull


class Tpcb(models.Model):
    """A table that pgbench made, or would have made."""

    class Meta:
        abstract = True
        managed = False


@pubsubpull.publish
class Branch(Tpcb):
    bid = models.IntegerField(primary_key=True)
    bbalance = models.IntegerField()

    class Meta(Tpcb.Meta):
        db_table = "pgbench_branches"


@pubsubpull.publish
class Teller(Tpcb):
    tid = models.IntegerField(primary_key=True)
    bid = models.IntegerField()
    tbalance = models.IntegerField()

    class Meta(Tpcb.Meta):
        db_table = "pgbench_tellers"


@pubsubpull.publish
class Account(Tpcb):
    aid = models.IntegerField(primary_key=True)
    bid = models.IntegerField()
    abalance = models.IntegerField()

    class Meta(Tpcb.Meta):
        db_table = "pgbench_accounts"


@pubsubpull.publish
class History(Tpcb):
    """Its key is added: pgbench gives it none."""

    id = models.BigIntegerField(primary_key=True)

    class Meta(Tpcb.Meta):
        db_table = "pgbench_history"


@pubsubpull.publish
class Note(models.Model):
    """The rows that the service writes."""

    text = models.TextField()
    count = models.IntegerField(default=0)


ALL = [Branch, Teller, Account, History, Note]
