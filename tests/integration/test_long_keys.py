"""Keys as long as the table's own index takes: no index of the log has less room, and each finds its object."""

from __future__ import annotations

import random
import string

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

import pubsubpull
from pubsubpull.audit.integrity import erasure
from pubsubpull.capture import registry, syncing
from pubsubpull.models import Change

pytestmark = pytest.mark.django_db(transaction=True)

LONGEST = 2692
"""The bytes of text that do not compress, of which a row of a btree index takes no more."""


def text(length, alphabet=string.ascii_letters + string.digits):
    """Return text that PostgreSQL cannot compress."""
    return "".join(random.Random(length).choices(alphabet, k=length))


KEYS = {
    **{f"{length} bytes": ["text", text(length)] for length in (2600, 2675, 2680, 2690, LONGEST)},
    "characters of four bytes": ["text", text(LONGEST // 4, [chr(n) for n in range(0x1F300, 0x1F600)])],
    "compressed": ["text", "long " * 20_000],
    "bytes": ["bytea", text(LONGEST).encode()],
    "two": ["text", text(1340), "text", text(1341)],
    "two that JSON makes longer": ["text", text(1340, '"\\\t\x01' + string.ascii_letters), "text", text(1341, '"\\')],
}
FIELDS = {"text": models.TextField, "bytea": models.BinaryField}


@pytest.fixture(params=["statement", "row"])
def made(request):
    """Yield a function that makes a published table, whose triggers are of one level, with keys of these types."""
    tables = []

    def make(*types):
        names = [f"k{n}" for n in range(len(types))]
        with isolate_apps("tests.shop"):
            body = {"__module__": __name__, "n": models.IntegerField(default=0)}
            body |= {name: FIELDS[kind]() for name, kind in zip(names, types, strict=True)}
            if len(names) == 1:
                body["k0"] = FIELDS[types[0]](primary_key=True)
            else:
                body["pk"] = models.CompositePrimaryKey(*names)
            model = type("Long", (models.Model,), {**body, "Meta": type("Meta", (), {"app_label": "shop"})})
        with connection.schema_editor() as editor:
            editor.create_model(model)
        tables.append(model)
        pubsubpull.publish(model, level=request.param)
        syncing.sync()
        return model

    yield make
    registry._publications.pop("shop.long", None)
    for model in tables:
        with connection.schema_editor() as editor:
            editor.delete_model(model)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_key_that_the_tables_own_index_takes_is_captured_and_found(made, key):
    model, values = made(*key[::2]), key[1::2]
    row = model.objects.create(**{f"k{n}": value for n, value in enumerate(values)})
    model.objects.update(n=1)
    update, insert = pubsubpull.history(row)
    assert (update.op, insert.op) == ("update", "insert")
    assert pubsubpull.as_of(model, row.pk, update.at).data["n"] == 1
    model.objects.all().delete()
    pubsubpull.restore(model, row.pk, update.version)
    assert model.objects.get().n == 1
    key = Change.objects.last().key
    assert erasure.erase("default", "shop.long", key, reason="asked", by="us") == 4
    model.objects.all().delete()


def test_keys_that_begin_alike_have_histories_of_their_own(made):
    model = made("text")
    keys = [text(300) + end for end in ("", "a", "b")]
    model.objects.bulk_create(model(k0=key, n=n) for n, key in enumerate(keys))
    model.objects.filter(k0=keys[1]).update(n=7)
    assert [len(pubsubpull.history(model, key)) for key in keys] == [1, 2, 1]
    assert pubsubpull.history(model, keys[2])[0].key == keys[2]


def test_a_user_with_a_long_key_is_no_reason_for_a_write_to_fail(made):
    model, user = made("text"), text(2000, [chr(n) for n in range(0x1F300, 0x1F600)])
    with pubsubpull.context(user=user):
        model.objects.create(k0="a")
    with pubsubpull.context(user=user[:-1]):
        model.objects.create(k0="b")
    assert [one.key for one in pubsubpull.history(user=user)] == ["a"]
