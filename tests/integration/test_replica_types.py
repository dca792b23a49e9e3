"""Values of every type arrive exactly: the same text on both sides, as PostgreSQL writes it."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.db import connection, models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.range import Range

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.replica import declaration
from pubsubpull.replica.appliers.base import Applied
from pubsubpull.replica.sizes import Sizes
from tests.replicas.models import KindsCopy, KindsSource

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ALL = "SELECT (SELECT array_agg(t.*::text ORDER BY id) FROM {} t)"


def integers(bits):
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def ranges(strategy):
    pairs = st.tuples(strategy, strategy).map(sorted)
    bounds = st.sampled_from(["[)", "(]", "[]", "()"])
    return st.builds(lambda pair, sign: Range(*pair, sign), pairs, bounds) | st.builds(Range, empty=st.just(True))


DECIMALS = st.decimals(-(10**19), 10**19, places=20, allow_nan=False)
TIMES = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC))  # noqa: DTZ001
DATES = st.dates(dt.date(1, 1, 2), dt.date(9999, 12, 30))
JSON = st.recursive(
    st.none() | st.booleans() | integers(64) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = {
    "big": integers(64),
    "binary": st.binary(max_size=50),
    "boolean": st.booleans(),
    "char": TEXT,
    "date": DATES,
    "datetime": TIMES,
    "decimal": DECIMALS,
    "duration": st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6)),
    "floating": st.floats().map(lambda number: number + 0.0),
    "integer": integers(32),
    "ip": st.ip_addresses().map(str),
    "json": JSON,
    "small": integers(16),
    "text": TEXT,
    "time": st.times(),
    "uuid": st.uuids(),
    "texts": st.lists(TEXT | st.none(), max_size=4),
    "matrix": st.lists(st.lists(integers(32) | st.none(), min_size=2, max_size=2), min_size=1, max_size=3),
    "integers": ranges(st.integers(-(2**31), 2**31 - 2)),
    "bigs": ranges(st.integers(-(2**63), 2**63 - 2)),
    "decimals": ranges(DECIMALS),
    "datetimes": ranges(TIMES),
    "dates": ranges(DATES),
}
ROWS = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in FIELDS.items()})


def texts(model):
    with connection.cursor() as run:
        run.execute(ALL.format(model._meta.db_table))
        return run.fetchone()[0]


def test_every_field_of_django_has_a_value_here():
    assert set(FIELDS) | {"id", "twice"} == {field.name for field in KindsSource._meta.fields}


@pytest.fixture
def by_compact_pages(follow, only):
    """Let one plain replica follow, and all but the first change of a backlog come in compact pages."""
    copies = [KindsCopy, "replicas.anycopy"]
    only(next(filter(None, map(declaration.get, reversed(copies)))).name)
    return follow(sizes=Sizes(page=1, whole_pages=0))


def compact_applied(outcomes):
    return any(name == "compact" and isinstance(outcome, Applied) for name, outcome in outcomes)


def test_any_value_of_any_field_comes_over_exactly_in_a_compact_page(by_compact_pages, outcomes):
    by_compact_pages.run_once()

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(ROWS, min_size=2, max_size=20), later=ROWS)
    def comes_over(rows, later):
        made = KindsSource.objects.bulk_create(KindsSource(**row) for row in rows)
        if later:
            KindsSource.objects.filter(pk__in=[row.pk for row in made[1:]]).update(**later)
        outcomes.clear()
        by_compact_pages.run_once()
        assert compact_applied(outcomes)
        assert texts(KindsCopy) == texts(KindsSource)

    comes_over()


def test_any_value_of_any_field_comes_over_exactly(follower):
    """First as a copied row, then as a change."""
    follower.run_once()

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(ROWS, min_size=1, max_size=20), later=ROWS)
    def comes_over(rows, later):
        made = KindsSource.objects.bulk_create(KindsSource(**row) for row in rows)
        follower.run_once()
        assert texts(KindsCopy) == texts(KindsSource)
        if later:
            KindsSource.objects.filter(pk=made[0].pk).update(**later)
        follower.run_once()
        assert texts(KindsCopy) == texts(KindsSource)

    comes_over()


TYPES = {
    "hstore": ["''", """'"a"=>"1", "n"=>NULL, ""=>"" '""", r"""'"q\"u\\o=>te"=>"x, \"y\" \\z", "ü"=>"{\"j\": 1}"'"""],
    "hstore[]": ["'{}'", """'{NULL, a=>1, "\\"x y\\"=>NULL"}'"""],
    "labels": ["'a=>1'", "''"],
    "labels[]": ["ARRAY['a=>1', NULL]::labels[]"],
    "bag": [
        """ROW(1, 'a=>NULL, "q\\"\\\\"=>"}"', ARRAY[ARRAY['a=>1'::hstore], ARRAY[NULL]::hstore[]],
            'b=>2', ROW(2, 'a,b'))::bag""",
        "ROW(NULL, NULL, NULL, NULL, NULL)::bag",
        "ROW(1, '', '{}', '', NULL)::bag",
    ],
    "bag[]": ["ARRAY[ROW(1, 'a=>1', NULL, NULL, NULL)::bag, NULL]", "'{}'"],
    "good_bag": ["ROW(1, 'a=>1', NULL, 'b=>NULL', NULL)::bag"],
    "bags": [
        """ROW(ROW(1, 'a=>1', NULL, NULL, NULL), ARRAY[ROW(2, 'b=>2', ARRAY['c=>3'::hstore], '', NULL)::bag],
            ROW(3, NULL, NULL, 'd=>4', NULL), 'glad')::bags"""
    ],
    "everything": [
        r"""ROW('\x00ff27', '-1 mons +2 days -03:00:00', '$1,234.56', '[1,3)', '{[1,3),[7,9)}',
            'glad', 7, '{1,NULL,3}', '{a,"b,c",NULL}', 'NaN', 5e-324, '0044-03-15 BC', 'infinity', '03:04:05.6+05:30',
            '{"b": 1.10, "a": [null]}', 'x', 'ab', B'0101', '((0,0),(1,1),(2,0))', '10.0.0.1/8', 'a:1A b:2',
            '16/B374D848')::everything""",
        f"'({',' * 21})'::everything",
    ],
    "everything[]": ["ARRAY['(\"\\\\x00\",,-$2.10,empty,,it''s so-so,,,,,,,,,,,,,,,,)'::everything]"],
    "money": ["'$1,234.56'", "'-$0.01'"],
    "int[]": ["'{}'", "'{1,NULL,3}'"],
    "text[]": ['\'{a,"b,c","null",NULL}\''],
    "int4range[]": ["'{\"[1,3)\",empty}'"],
    "int4multirange": ["'{[1,3),[7,9)}'"],
    "json": ['\'{"a": [1.50, null], "b": 1}\''],
    "jsonb": ['\'{"b": 1.10, "a": "\\u00e9"}\''],
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "1e-300", "123456789012345678901234567890.123456789"],
    "double precision": ["'NaN'", "'Infinity'", "5e-324", "0.1"],
    "real": ["'NaN'", "1.17549435e-38", "0.3"],
    "date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'"],
    "timestamp": ["'infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"],
    "timestamptz": ["'infinity'", "'0044-03-15 12:00:00+00 BC'", "'2026-01-02 03:04:05.678901+05:30'"],
    "timetz": ["'03:04:05.6+05:30'"],
    "interval": ["'-1 mons +2 days -03:00:00'", "'1 year 2 mons'", "'00:00:00.000001'", "'-1 days +02:03:04'"],
    "uuid": [f"'{uuid.UUID(int=7)}'"],
    "bytea": ["'\\x00ff27'", "''"],
    "point": ["'(1.5,-2)'"],
    "line": ["'{1,2,3}'"],
    "lseg": ["'[(0,0),(1,1)]'"],
    "box": ["'(1,1),(0,0)'"],
    "path": ["'((0,0),(1,1),(2,0))'", "'[(0,0),(1,1)]'"],
    "polygon": ["'((0,0),(1,1),(2,0))'"],
    "circle": ["'<(1,2),3>'"],
    "inet": ["'10.0.0.1/8'", "'::1'"],
    "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "bit varying(9)": ["B'0101'", "B''"],
    "tsvector": ["'a:1A b:2'"],
    "mood": ["'glad'", "'it''s so-so'"],
    "mood[]": ["'{glad,\"it''s so-so\"}'"],
    "positive": ["7"],
    "pair": ["ROW(1, 'a,b')::pair", "ROW(NULL, '')::pair"],
    "pair[]": ["ARRAY[ROW(1, 'a')::pair]"],
    '"char"': ["'x'"],
    "char(5)": ["'ab'"],
    "varchar(5)": ["'ab   '"],
    "name": ["'n'"],
    "oid": ["4000000000"],
    "pg_lsn": ["'16/B374D848'"],
    "text": ["''", "E'\\t\\\\ \\u0001 \"'", "'null'"],
}


EVERYTHING = """
    b bytea, i interval, m money, r int4range, mr int4multirange, e mood, d positive, ints int[], texts text[],
    n numeric, f double precision, day date, at timestamptz, t timetz, j jsonb, ch "char", c char(5),
    bits bit varying(9), p polygon, ip inet, v tsvector, l pg_lsn
"""
"""The attributes of a composite type: of each kind of value whose JSON is not its text."""


@pytest.mark.parametrize(
    "given",
    [
        ("varchar(5)", "'123456'", "value too long"),
        ("char(5)", "'123456'", "value too long"),
        ("numeric(4,1)", "12345", "numeric field overflow"),
        ("smallint", "70000", "out of range"),
        ("positive", "-7", "violates check"),
    ],
)
def test_an_unfitting_value_is_refused_and_never_cut(tables, by_compact_pages, outcomes, given):
    """A cast cuts a text that is too long, and says nothing."""
    kind, value, error = given
    by_compact_pages.run_once()
    with connection.cursor() as run:
        run.execute(f"ALTER TABLE replicas_any ALTER c0 TYPE text; ALTER TABLE replicas_anycopy ADD made {kind}")
        run.execute("ALTER TABLE replicas_anycopy DROP c0; ALTER TABLE replicas_anycopy RENAME made TO c0")
        for number in range(3):
            run.execute(f"INSERT INTO replicas_any (id, c0) VALUES ({number}, {value if number else 'NULL'})")
        with pytest.raises(exceptions.ReplicaFailed, match=error):
            by_compact_pages.run_once()
        assert not compact_applied(outcomes)


@pytest.fixture
def tables():
    """Make a table with a column of each type on both sides, and publish the one."""
    names = {f"c{n}": kind for n, kind in enumerate(TYPES)}
    with connection.cursor() as run:
        run.execute("CREATE TYPE mood AS ENUM ('glad', 'it''s so-so'); CREATE TYPE pair AS (n int, word text)")
        run.execute("CREATE EXTENSION hstore; CREATE DOMAIN positive AS int CHECK (value > 0)")
        run.execute("CREATE DOMAIN labels AS hstore; CREATE DOMAIN even_labels AS labels")
        run.execute("CREATE TYPE bag AS (n int, h hstore, many hstore[], own even_labels, inner_pair pair)")
        run.execute("CREATE DOMAIN good_bag AS bag; CREATE TYPE bags AS (b bag, bs bag[], g good_bag, mood mood)")
        run.execute(f"CREATE TYPE everything AS ({EVERYTHING})")
        columns = ", ".join(f"{name} {kind}" for name, kind in names.items())
        for table in ("replicas_any", "replicas_anycopy"):
            run.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, {columns})")
    fields = {name: models.TextField(null=True) for name in names}

    def model(name):
        made = {name: field.clone() for name, field in fields.items()}
        meta = type("Meta", (), {"managed": False, "app_label": "replicas", "db_table": f"replicas_{name.lower()}"})
        key = models.BigIntegerField(primary_key=True)
        return type(name, (models.Model,), {"__module__": "tests.replicas.models", "Meta": meta, "id": key, **made})

    source, copy = model("Any"), model("AnyCopy")
    pubsubpull.publish(source)
    pubsubpull.replicates("replicas.any", service="shop")(copy)
    from django.apps import apps
    from django.core.management import call_command

    try:
        call_command("pubsubpull_triggers", "--sync", verbosity=0)
        yield names
    finally:
        pubsubpull.unpublish(source)
        declaration.forget(copy)
        for name in ("any", "anycopy"):
            del apps.all_models["replicas"][name]
        apps.clear_cache()
        with connection.cursor() as run:
            run.execute(
                "DROP TABLE replicas_any, replicas_anycopy; DROP TYPE everything, bags, mood; DROP DOMAIN good_bag"
            )
            run.execute("DROP TYPE bag, pair; DROP DOMAIN positive, even_labels, labels; DROP EXTENSION hstore")


def test_values_that_jsonb_normalises_arrive_equal_but_not_identical(tables, follower):
    """The order of a `json`'s keys, the bounds of an array, the sign of a float's zero, and JSON's null."""
    by_kind = {kind: name for name, kind in tables.items()}
    kinds = {"json": '{"b": 1, "a": 2}', "int[]": "[5:6]={1,2}", "double precision": "-0", "jsonb": "null"}
    with connection.cursor() as run:
        for number, (kind, value) in enumerate(kinds.items()):
            run.execute(f"INSERT INTO replicas_any (id, {by_kind[kind]}) VALUES ({number}, %s)", [value])
        follower.run_once()
        columns = ", ".join(f"max({by_kind[kind]}::text)" for kind in kinds)
        run.execute(f"SELECT {columns} FROM replicas_anycopy")
        assert run.fetchone() == ('{"a": 2, "b": 1}', "{1,2}", "0", None)


@pytest.mark.parametrize("form", ["whole", "compact"])
def test_any_type_of_postgresql_comes_over_exactly(tables, outcomes, form, request):
    """Half of it is there before, the other half comes as changes."""
    follower = request.getfixturevalue("by_compact_pages" if form == "compact" else "follower")
    statements = [
        f"INSERT INTO replicas_any (id, {name}) VALUES ({number}, {value})"
        for number, (name, value) in enumerate((name, value) for name, kind in tables.items() for value in TYPES[kind])
    ]
    with connection.cursor() as run:
        for statement in statements[::2]:
            run.execute(statement)
        follower.run_once()
        for statement in statements[1::2]:
            run.execute(statement)
        follower.run_once()
        assert compact_applied(outcomes) == (form == "compact")
        run.execute(ALL.format("replicas_any"))
        source = run.fetchone()[0]
        run.execute(ALL.format("replicas_anycopy"))
        assert [pair for pair in zip(run.fetchone()[0], source, strict=True) if pair[0] != pair[1]] == []
    assert len(source) == len(statements)
