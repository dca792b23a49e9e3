"""Consumers, subscriptions and workers."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pubsubpull", "0001_log"),
    ]

    operations = [
        migrations.CreateModel(
            name="Consumer",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.TextField(unique=True)),
                ("token_hash", models.TextField(unique=True)),
                ("granted", models.JSONField(default=list)),
                ("may_audit", models.BooleanField(default=False)),
                ("may_subscribe", models.BooleanField(default=False)),
                ("may_monitor", models.BooleanField(default=False)),
                ("active", models.BooleanField(default=True)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "db_table": "pubsubpull_consumer",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("started", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires", models.DateTimeField()),
            ],
            options={
                "db_table": "pubsubpull_worker",
            },
        ),
        migrations.CreateModel(
            name="Host",
            fields=[
                ("host", models.TextField(primary_key=True, serialize=False)),
                ("failures", models.IntegerField()),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("began", models.DateTimeField()),
                ("retry_at", models.DateTimeField()),
                ("error", models.TextField()),
            ],
            options={
                "db_table": "pubsubpull_host",
            },
        ),
        migrations.CreateModel(
            name="Counter",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.TextField()),
                ("label", models.TextField()),
                ("value", models.FloatField()),
            ],
            options={
                "db_table": "pubsubpull_counter",
                "constraints": [models.UniqueConstraint(fields=("name", "label"), name="pubsubpull_counter_label")],
            },
        ),
        migrations.CreateModel(
            name="Sample",
            fields=[
                ("at", models.DateTimeField(primary_key=True, serialize=False)),
                ("captured", models.BigIntegerField()),
                ("delivered", models.BigIntegerField()),
                ("bytes", models.BigIntegerField()),
                ("details", models.JSONField(null=True)),
            ],
            options={
                "db_table": "pubsubpull_sample",
            },
        ),
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                ("id", models.IntegerField(primary_key=True, serialize=False)),
                ("sealed", models.TextField()),
                ("public", models.TextField()),
                ("made", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("until", models.DateTimeField(null=True)),
            ],
            options={"db_table": "pubsubpull_signing_key"},
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("callback", models.TextField()),
                ("verify", models.BooleanField(default=False)),
                ("consented", models.TextField(default="")),
                ("labels", models.JSONField()),
                ("ops", models.JSONField()),
                ("batch", models.IntegerField()),
                ("allowed_rate", models.IntegerField(null=True)),
                ("max_rate", models.FloatField(null=True)),
                ("free_at", models.DateTimeField(null=True)),
                ("concurrency", models.IntegerField(default=1)),
                ("form", models.TextField(choices=[("page", "Page"), ("cloudevents", "Cloudevents")], default="page")),
                (
                    "on_failure",
                    models.TextField(choices=[("block", "Block"), ("set-aside", "Set Aside")], default="block"),
                ),
                ("signature", models.TextField(default="v1")),
                ("secrets", models.JSONField()),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("unverified", "Unverified"),
                            ("active", "Active"),
                            ("paused", "Paused"),
                            ("failing", "Failing"),
                            ("disabled", "Disabled"),
                            ("unsubscribed", "Unsubscribed"),
                            ("lapsed", "Lapsed"),
                        ],
                        default="active",
                    ),
                ),
                ("cursor", models.TextField()),
                ("last_sent_cursor", models.TextField()),
                ("backfill", models.TextField(default="")),
                ("created", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("attempts", models.IntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("next_attempt", models.DateTimeField(null=True)),
                ("last_error", models.TextField(default="")),
                ("last_delivered", models.DateTimeField(null=True)),
                ("delivered", models.BigIntegerField(default=0)),
                ("worker", models.UUIDField(null=True)),
                ("lease", models.BigIntegerField(default=0)),
                (
                    "consumer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="subscriptions",
                        to="pubsubpull.consumer",
                    ),
                ),
            ],
            options={
                "db_table": "pubsubpull_subscription",
                "ordering": ("name",),
                "indexes": [models.Index(fields=["worker"], name="pubsubpull_subscription_holder")],
                "constraints": [
                    models.UniqueConstraint(fields=("consumer", "name"), name="pubsubpull_subscription_name")
                ],
            },
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
                ("model", models.TextField()),
                ("op", models.TextField()),
                ("item", models.TextField()),
                ("set_aside", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("attempts", models.IntegerField()),
                ("tried", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("status", models.IntegerField(null=True)),
                ("answer", models.TextField(default="")),
                ("error", models.TextField()),
                ("retrying", models.BooleanField(default=False)),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failures",
                        to="pubsubpull.subscription",
                    ),
                ),
            ],
            options={
                "db_table": "pubsubpull_failure",
                "indexes": [
                    models.Index(
                        condition=models.Q(("retrying", True)),
                        fields=["subscription"],
                        name="pubsubpull_failure_retrying",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("subscription", "version"), name="pubsubpull_failure_version")
                ],
            },
        ),
    ]
