"""Replicas and the copies that begin them."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from pubsubpull.capture.operations import RunFiles
from pubsubpull.wire import jsontext


class Migration(migrations.Migration):
    dependencies = [
        ("pubsubpull", "0002_subscriptions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Copy",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("service", models.TextField(unique=True)),
                ("sources", models.JSONField()),
                ("followed", models.JSONField()),
                ("began", models.TextField()),
                ("cursor", models.TextField()),
                ("whole", models.BooleanField(default=False)),
                ("started", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "pubsubpull_copy",
            },
        ),
        migrations.CreateModel(
            name="CopyPage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.TextField(default="")),
                ("body", models.TextField()),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pages", to="pubsubpull.copy"
                    ),
                ),
            ],
            options={
                "db_table": "pubsubpull_copy_page",
                "ordering": ("id",),
            },
        ),
        migrations.CreateModel(
            name="CopyRange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.TextField()),
                ("at", models.TextField(null=True)),
                ("until", models.TextField(null=True)),
                ("rows", models.BigIntegerField(default=0)),
                ("expected", models.BigIntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
                (
                    "copy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ranges", to="pubsubpull.copy"
                    ),
                ),
            ],
            options={
                "db_table": "pubsubpull_copy_range",
            },
        ),
        migrations.CreateModel(
            name="ReplicaState",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("service", models.TextField()),
                ("source", models.TextField()),
                (
                    "state",
                    models.TextField(
                        choices=[("copying", "Copying"), ("following", "Following"), ("failing", "Failing")],
                        default="copying",
                    ),
                ),
                ("cursor", models.TextField(default="")),
                ("shape", models.TextField(default="")),
                ("absent", models.JSONField(default=list)),
                ("attempts", models.IntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("next_attempt", models.DateTimeField(null=True)),
                ("last_error", models.TextField(default="")),
                ("applied", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "pubsubpull_replica",
                "ordering": ("name",),
                "indexes": [models.Index(fields=["service"], name="pubsubpull_replica_service")],
            },
        ),
        migrations.CreateModel(
            name="Parked",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("replica", models.TextField()),
                ("key", models.TextField()),
                ("version", models.BigIntegerField()),
                ("item", models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder)),
                ("error", models.TextField()),
                ("since", models.DateTimeField()),
                ("passed", models.BooleanField()),
                ("done", models.BooleanField()),
            ],
            options={
                "db_table": "pubsubpull_parked",
                "ordering": ("replica", "version"),
                "constraints": [models.UniqueConstraint(fields=("replica", "version"), name="pubsubpull_parked_once")],
            },
        ),
        migrations.CreateModel(
            name="PullJob",
            fields=[
                ("name", models.TextField(primary_key=True, serialize=False)),
                ("service", models.TextField()),
                ("source", models.TextField()),
                ("callback", models.TextField()),
                ("callback_kwargs", models.JSONField(default=dict)),
                ("ops", models.JSONField(default=list)),
                ("pull_priority", models.IntegerField(default=0)),
                ("job_priority", models.IntegerField(default=0)),
                ("up", models.BooleanField()),
                ("down", models.BooleanField()),
                ("cursor", models.TextField()),
                ("at", models.TextField(null=True)),
                ("called", models.BigIntegerField(default=0)),
                ("started", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"db_table": "pubsubpull_pull_job"},
        ),
        migrations.CreateModel(
            name="PullKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.TextField()),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="keys", to="pubsubpull.pulljob"
                    ),
                ),
            ],
            options={
                "db_table": "pubsubpull_pull_key",
                "constraints": [models.UniqueConstraint(fields=["job", "key"], name="pubsubpull_pull_key_once")],
            },
        ),
        RunFiles(
            "keep pages as they come, and create the functions that apply a small page",
            ["copy_page_storage.1", "move_replicas.1", "take_page.1"],
            undo="drop_replicas.1",
        ),
    ]
