"""The change log and its functions, in the files of `sql/schema/` that are named here, in this order.

A table comes before the functions that name it, and an SQL function after those that it calls: PostgreSQL looks for
them as it creates one. A file that has run is never edited: see CONTRIBUTING.md.
"""

from django.db import migrations, models

from pubsubpull.capture.operations import RunFiles
from pubsubpull.wire import jsontext


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        RunFiles(
            "create the log's tables: changes, requests, histories and ticks",
            [
                "change_sequence.1",
                "change_table.1",
                "change_default.1",
                "first_partition.1",
                "request_table.1",
                "log_table.1",
                "history_table.1",
                "tick_table.1",
                "alive_table.1",
            ],
            undo="drop.1",  # takes away all of these; it runs last when they are undone
        ),
        RunFiles(
            "create the functions that triggers call",
            [
                "key.1",
                "key_columns.1",
                "left_out.1",
                "as_logged.1",
                "mask.1",
                "request_id.1",
                "finish_request.1",
                "annotate_request.1",
                "log_row.1",
                "guarded.1",
                "guarded_columns.1",
                "put_in_order.1",
                "is_uncaptured.1",
                "capture_insert.1",
                "capture_update.1",
                "capture_delete.1",
                "capture_row.1",
                "capture_truncate.1",
                "capture_truncate_partition.1",
                "uncapture.1",
            ],
        ),
        RunFiles(
            "create what readers ask first: the present of the log",
            [
                "is_alive.1",
                "tick.1",
                "begin_history.1",
                "present.1",
                "poll.1",
                "settle.1",
            ],
        ),
        RunFiles(
            "create what maintenance calls: partitions and retention",
            [
                "partitions.1",
                "keep_to_owner.1",
                "make_partition.1",
                "detach_partition.1",
                "drop_detached.1",
                "trim.1",
                "bound_default.1",
                "validate_default.1",
                "adopt_default.1",
                "prune_requests.1",
            ],
        ),
        RunFiles(
            "create what reads and rereads tables: instances, hashes and baselines",
            [
                "excluded.1",
                "hstore.1",
                "hstores.1",
                "readable.1",
                "instances.1",
                "hash_query.1",
                "range_hash.1",
                "row_hashes.1",
                "resend.1",
                "emit.1",
                "keys_after.1",
                "baseline.1",
            ],
        ),
        RunFiles(
            "create seals, erasure and their tables",
            [
                "seal_table.1",
                "erasure_table.1",
                "rows_digest.1",
                "close_requests.1",
                "forget.1",
                "erase.1",
                "forget_columns.1",
            ],
        ),
        RunFiles(
            "create what brings in the past of other packages",
            [
                "past_id.1",
                "past_value.1",
                "make_past.1",
                "import_table.1",
                "import.1",
                "trim_past.1",
            ],
        ),
        # The files above made these tables; the ORM reads them and writes none of them.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="Change",
                    fields=[
                        ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("xid", models.TextField()),
                        ("at", models.DateTimeField()),
                        ("model", models.TextField()),
                        (
                            "op",
                            models.CharField(
                                choices=[
                                    ("I", "insert"),
                                    ("U", "update"),
                                    ("D", "delete"),
                                    ("T", "truncate"),
                                    ("O", "uncaptured"),
                                    ("V", "event"),
                                    ("E", "erase"),
                                    ("X", "erased delete"),
                                ],
                                max_length=1,
                            ),
                        ),
                        ("key", models.TextField(null=True)),
                        ("request_id", models.UUIDField(null=True)),
                        ("old", models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder, null=True)),
                        ("new", models.JSONField(decoder=jsontext.Decoder, encoder=jsontext.Encoder, null=True)),
                    ],
                    options={
                        "db_table": "pubsubpull_change",
                        "ordering": ("id",),
                    },
                ),
                migrations.CreateModel(
                    name="Log",
                    fields=[
                        ("restored", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("settled", models.BigIntegerField()),
                        ("dropped", models.BigIntegerField()),
                    ],
                    options={
                        "db_table": "pubsubpull_log",
                    },
                ),
                migrations.CreateModel(
                    name="History",
                    fields=[
                        ("token", models.BigIntegerField(primary_key=True, serialize=False)),
                        ("after", models.BigIntegerField()),
                        ("began", models.DateTimeField()),
                    ],
                    options={
                        "db_table": "pubsubpull_history",
                    },
                ),
                migrations.CreateModel(
                    name="Request",
                    fields=[
                        ("id", models.UUIDField(primary_key=True, serialize=False)),
                        ("user_id", models.TextField(null=True)),
                        ("user_name", models.TextField(null=True)),
                        ("method", models.TextField(null=True)),
                        ("path", models.TextField(null=True)),
                        ("route", models.TextField(null=True)),
                        ("ip", models.TextField(null=True)),
                        ("user_agent", models.TextField(null=True)),
                        ("correlation_id", models.TextField(null=True)),
                        ("traceparent", models.TextField(null=True)),
                        ("tracestate", models.TextField(null=True)),
                        ("source", models.TextField()),
                        ("started", models.DateTimeField()),
                        ("duration", models.FloatField(null=True)),
                        ("status", models.IntegerField(null=True)),
                        ("metadata", models.JSONField(default=dict)),
                    ],
                    options={
                        "db_table": "pubsubpull_request",
                    },
                ),
            ]
        ),
    )
