"""The digests of seals: any difference in the sealed values changes them, and adjacent values never run together."""

from __future__ import annotations

import itertools

import pytest

from pubsubpull.audit.integrity import proof
from pubsubpull.audit.integrity.proof import Change, Erasure, Seal

CHANGE = Change(1, "7", "2026-01-02 03:04:05+00", "shop.order", "U", "17", "r", '{"a": 1}', '{"a": 2}')
SEAL = Seal(1, "changes", 1, 2, 3, [1, 2], [3, 3], b"l" * 64, b"s" * 32, b"d" * 32, b"", 4)


def erasure(**given):
    usual = {"columns": None, "digest": b"d", "remains": None, "salt": None}
    rest = {"erased": "now", "erased_by": "dpo", "reason": ""}
    return Erasure(**{"id": 1, "change_id": 1, "model": "shop.order", "key": "17", "op": "U", **usual, **rest, **given})


@pytest.mark.parametrize("name", Change._fields)
def test_a_change_that_differs_in_anything_has_another_digest(name):
    other = CHANGE._replace(**{name: 2 if name == "id" else "x"})
    assert proof.leaf(other, [], "q", b"s") != proof.leaf(CHANGE, [], "q", b"s")


@pytest.mark.parametrize(("request_", "salt"), [("p", b"s"), (None, b"s"), ("q", b"t")])
def test_another_request_or_salt_makes_another_digest(request_, salt):
    assert proof.leaf(CHANGE, [], request_, salt) != proof.leaf(CHANGE, [], "q", b"s")


def test_no_value_runs_into_the_one_beside_it():
    apart = [("ab", "c"), ("a", "bc"), ("abc", None), ("abc", ""), (None, "abc"), ('a","b', "c"), ("a", 'b","c')]
    made = {proof.leaf(CHANGE._replace(key=key, request_id=of), [], "q", b"s") for key, of in apart}
    made |= {proof.request((key, of)).encode() for key, of in apart}
    assert len(made) == 2 * len(apart)
    rows = [('{"a": 1}', None), (None, '{"a": 1}'), ('{"a": 1}', '{"a": 1}'), (None, None)]
    assert len({proof.digest_of_rows(CHANGE._replace(old=old, new=new), b"s") for old, new in rows}) == 4


def test_an_erased_change_keeps_its_digest_by_that_of_its_rows():
    before = proof.leaf(CHANGE, [], "q", b"s")
    record = erasure(digest=proof.digest_of_rows(CHANGE, b"s"))
    left = CHANGE._replace(op="E", old=None, new=None)
    assert proof.leaf(left, [record], "q", b"") == before
    assert proof.is_erased(left, [record])
    assert proof.leaf(left, [record._replace(op="I")], "q", b"") != before


@pytest.mark.parametrize(
    ("key", "old", "stands"),
    [
        ("17", '{"id": 17}', True),
        ("17", '{"id": "17"}', True),
        ("true", '{"id": true}', True),
        ("1.50", '{"id": 1.50}', True),
        ('["w", 1]', '{"article": 1, "warehouse": "w"}', True),
        ("[1, 2.50]", '{"id": [1, 2.50]}', True),
        ('{"a": 1}', '{"id": {"a": 1}}', True),
        ("[" * 5000 + "]" * 5000, '{"id": ' + "[" * 5000 + "]" * 5000 + "}", True),
        ("9" * 5000, '{"id": ' + "9" * 5000 + "}", True),
        ("17", "{}", True),
        ("1", '{"id": true}', False),
        ("1.5", '{"id": 1.50}', False),
        ("17", '{"id": 17', False),
        ("17", "[17]", False),
        ("17", '{"id": ' + "[" * 5000 + "]" * 5000 + "}", False),
        ("17", "[" * 5000, False),
        ("17", '{"id": 1e9999999999999999999}', False),
        ("17", '{"id": NaN}', False),
        (None, '{"id": 17}', False),
        (None, '{"a": 1, "b": 2}', False),
        ("[" * 5000, '{"a": 1, "b": 2}', False),
        ("17", '{"id": 18}', False),
        ("17", '{"id": 17, "name": "z"}', False),
        ('["w", 1]', '{"article": 2, "warehouse": "w"}', False),
        ('["w", 1]', '{"article": 1, "warehouse": "w", "name": "z"}', False),
        ("17", None, False),
    ],
)
def test_an_erased_delete_has_its_key_and_no_more(key, old, stands):
    left = CHANGE._replace(op="X", key=key, old=old, new=None)
    remains = proof.digest_of_rows(left, b"")
    if old is None:
        remains = proof.digest_of_rows(left._replace(old="{}"), b"")
    assert proof.is_erased(left, [erasure(op="D", key=key, remains=remains, salt=b"")]) is stands


def test_erasures_of_one_change_follow_from_each_other():
    left = CHANGE._replace(new='{"b": 3}', old=None)
    remains = proof.digest_of_rows(left, b"t")
    first = erasure(columns="{a}", remains=b"between", salt=None)
    assert proof.is_erased(left, [first, erasure(columns="{c}", digest=b"between", remains=remains, salt=b"t")])
    assert not proof.is_erased(left, [first, erasure(columns="{c}", digest=b"other", remains=remains, salt=b"t")])


@pytest.mark.parametrize("name", [name for name in Erasure._fields if name != "salt"])
def test_the_record_of_an_erasure_that_differs_in_anything_but_its_salt_has_another_digest(name):
    value = {"id": 2, "change_id": 2, "digest": b"x", "remains": b"x"}.get(name, "x")
    assert proof.erasure(erasure(**{name: value})) != proof.erasure(erasure())


@pytest.mark.parametrize("name", ["id", "kind", "first", "last", "newest", "digest", "sealed"])
def test_a_seal_that_differs_or_follows_another_has_another_hash(name):
    value = {"kind": "imported", "digest": b"x"}.get(name, 9)
    assert proof.chained(b"", SEAL._replace(**{name: value})) != proof.chained(b"", SEAL)
    assert proof.chained(b"x", SEAL) != proof.chained(b"", SEAL)


def test_lists_that_differ_have_other_digests():
    lists = [([1, 2], [3], b"a"), ([1], [2, 3], b"a"), ([2, 1], [3], b"a"), ([1, 2], [3], b"b"), ([12], [3], b"a")]
    for one, two in itertools.combinations(lists, 2):
        assert proof.listed(*one) != proof.listed(*two)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01 00:00:01.000002+00", 1_000_002),
        ("2026-01-02 03:04:05+00", 1_767_323_045_000_000),
        ("infinity", 0),
        ("0044-03-15 12:00:00+00 BC", 0),
        ("12026-01-01 00:00:00+00", 0),
    ],
)
def test_a_time_that_cannot_be_read_is_as_old_as_can_be(text, value):
    assert proof.microseconds(text) == value
