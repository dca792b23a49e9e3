"""After each test the log is replayed over the tables as they were before it, and must give them as they are."""

from __future__ import annotations

import collections
import json
import re
import unittest

from django.db import DatabaseError, connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

from pubsubpull.capture import registry
from pubsubpull.capture import sql as capture_sql
from pubsubpull.wire import jsontext

COUNTS = collections.Counter()
"""The tests, tables, rows and changes that were compared, and the tests that could not be."""


PINNED = re.findall(r'SET "?(\w+)"? = (.+)', capture_sql.read("parts/text_settings"))
"""The settings of the capture functions: rows are compared as the log has them."""


class Different(AssertionError):
    """The replayed log does not give the table."""


def install():
    """Look at the tables before each test that uses the database, and replay the log after it."""

    def begin(test):
        test._tables_before = _tables()
        unittest.TestCase._callSetUp(test)

    def end(test):
        unittest.TestCase._callTearDown(test)
        if test._tables_before is not None:
            _compare(test._tables_before)

    TransactionTestCase._callSetUp, TransactionTestCase._callTearDown = begin, end


def _tables():
    """Return the log's last id and each table's rows by key; None if they cannot be read, as after an error."""
    queries = list(connection.queries_log)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for name, value in PINNED:
                cursor.execute(f"SET LOCAL {name} = {value}")
            cursor.execute("SELECT coalesce(max(id), 0) FROM pubsubpull_change")
            ((last,),) = cursor.fetchall()
            existing = set(connection.introspection.table_names(cursor))
            kinds = {
                label: of
                for label, of in registry.all_publications().items()
                if of.table[0] is None and of.table[1] in existing
            }
            rows = {label: _rows(cursor, of) for label, of in kinds.items()}
            transaction.set_rollback(True)  # the test goes on with the settings of its own
    except DatabaseError:
        COUNTS["tests that could not be looked at"] += 1
        return None
    finally:
        # A test may look at the queries of its own.
        connection.queries_log.clear()
        connection.queries_log.extend(queries)
    return last, rows


def _rows(cursor, publication):
    query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(sql.Identifier(publication.table[1]))
    cursor.execute(query.as_string())
    rows = [jsontext.loads(text) for (text,) in cursor.fetchall()]
    return {_key(publication, row): row for row in rows}


def _key(publication, row):
    return json.dumps([row[column] for column in publication.key_columns], default=str)


def _compare(before):
    last, tables = before
    after = _tables()
    if after is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT model, op, old::text, new::text FROM pubsubpull_change WHERE id > %s ORDER BY id", [last]
        )
        changes = cursor.fetchall()
    for label, op, old, new in changes:
        if label in tables:
            _replay(tables[label], registry.get(label), op, old and jsontext.loads(old), new and jsontext.loads(new))
    for label, rows in after[1].items():
        if tables.get(label, {}) != rows:
            raise Different(f"{label}: the log gives {tables.get(label)}, and the table has {rows}")
    COUNTS.update(tests=1, tables=len(after[1]), rows=sum(map(len, after[1].values())), changes=len(changes))


def _replay(rows, publication, op, old, new):
    if op == "T":
        rows.clear()
    if op in "UD":
        known = rows.pop(_key(publication, old), None)
        if known != old:
            raise Different(f"{publication.label}: a change's old is {old}, and the row was {known}")
    if op in "UI":
        rows[_key(publication, new)] = new
