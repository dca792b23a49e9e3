"""The admin's pages at their edges: reasons, restoring, permissions to see and write, numbers and odd addresses."""

from __future__ import annotations

import contextlib
import types

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection

import pubsubpull
from pubsubpull import exceptions
from pubsubpull.models import Change
from pubsubpull.pages import values
from pubsubpull.wire import jsontext
from tests import factories
from tests.shop.admin import ShopAdmin
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "/admin/pubsubpull/change/"


@pytest.fixture
def boss(client):
    return factories.log_in_superuser(client)


@pytest.fixture
def clerk(client):
    """Log in a member of the staff with all permissions on customers and orders, and the view of the log."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["shop", "pubsubpull"]).exclude(codename="x")
    )
    client.force_login(user)
    return client


@contextlib.contextmanager
def administered(model, part):
    """Register a model's admin with a class for a while: the views are bound to the registered admin."""
    shown = admin.site._registry[model]
    parts = {name: value for name, value in vars(part).items() if not name.startswith("__")}
    for name, value in parts.items():
        setattr(shown, name, types.MethodType(value, shown) if callable(value) else value)
    try:
        yield
    finally:
        for name in parts:
            delattr(shown, name)


def page(client, url, status=200, **query):
    answer = client.get(url, query)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


def history_of(row):
    return f"/admin/shop/{row._meta.model_name}/{row.pk}/history/"


def versions(row):
    return [entry.version for entry in pubsubpull.history(row)]


def test_a_reason_stands_beside_the_person_and_other_metadata_below(boss):
    with pubsubpull.context(user="ann", reason="typo <12>", ticket={"n": 12}) as made:
        customer = Customer.objects.create(name="a")
    for url in (history_of(customer), LOG):
        text = page(boss, url)
        assert 'by ann: <span class="psp-reason">typo &lt;12&gt;</span>' in text
        assert "ticket: {&quot;n&quot;:12}" in text
    text = page(boss, f"{LOG}requests/{made.id}/")
    assert "<dt>reason</dt><dd>typo &lt;12&gt;</dd>" in text
    assert "<dt>ticket</dt>" in text


@pytest.mark.parametrize("text", ['{"lat":59.90}', '{"n":"5003"}', "[1.0,5003]"])
def test_numbers_within_json_are_shown_as_numbers(text):
    assert values._plain(jsontext.loads(text)) == text


def test_the_state_that_is_there_now_is_not_offered(boss):
    customer = Customer.objects.create(name="a")
    assert "Restore version" not in page(boss, history_of(customer))
    Customer.objects.update(name="b")
    first = versions(customer)[1]
    assert page(boss, history_of(customer)).count("Restore version") == 1
    assert f"Restore version {first}<" in page(boss, history_of(customer))
    url = history_of(customer)
    customer.delete()
    assert page(boss, url).count("Restore version") == 2


def test_foreign_keys_have_their_names_where_restoring_is_shown(boss):
    order = Order.objects.create(customer=Customer.objects.create(name="a"))
    first = versions(order)[0]
    Order.objects.update(customer=None)
    assert f"Customer object ({order.customer_id}) ({order.customer_id})" in page(
        boss, history_of(order) + "restore/", version=first
    )


def test_values_missing_in_the_log_of_a_deleted_object_are_asked_for(boss):
    order = Order.objects.create(reference="r", internal_note="secret", card="4711")
    pk, (version,) = order.pk, versions(order)
    url = history_of(order) + "restore/"
    order.delete()
    text = page(boss, url, version=version)
    assert 'name="unknown-internal_note"' in text
    assert 'name="unknown-card"' in text
    answer = boss.post(url, {"version": version, "unknown-card": "1", "unknown-internal_note": ""})
    assert answer.status_code == 422
    assert "This field is required" in answer.content.decode()
    assert not Order.objects.exists()
    answer = boss.post(url, {"version": version, "unknown-card": "1", "unknown-internal_note": "n"})
    assert answer.status_code == 302
    found = Order.objects.get()
    assert (found.pk, found.reference, found.internal_note, found.card) == (pk, "r", "n", "1")


class ReadOnlyStatus:
    def get_readonly_fields(self, request, obj=None):
        return ["status"]


class OnlyReference:
    fields = ("reference", "customer")


@pytest.mark.parametrize("part", [ReadOnlyStatus, OnlyReference])
def test_a_column_the_user_may_not_write_stays_unchanged(boss, part):
    order = Order.objects.create(reference="a", status="approved")
    first = versions(order)[0]
    Order.objects.update(reference="b", status="new")
    with administered(Order, part):
        url = history_of(order) + "restore/"
        text = page(boss, url, version=first)
        assert "stays as it is: " in text
        assert ">approved<" not in text
        assert boss.post(url, {"version": first}).status_code == 302
    found = Order.objects.get()
    assert (found.reference, found.status) == ("a", "new")


def test_a_column_the_user_may_not_write_is_restored_with_its_last_value(boss):
    order = Order.objects.create(reference="a", status="approved")
    first = versions(order)[0]
    url = history_of(order) + "restore/"
    Order.objects.update(reference="b", status="new")
    order.delete()
    given = {"version": first, "unknown-card": "1", "unknown-internal_note": "n"}
    with administered(Order, ReadOnlyStatus):
        assert boss.post(url, given).status_code == 302
    found = Order.objects.get()
    assert (found.reference, found.status) == ("a", "new")


class OnlyOwn:
    def get_queryset(self, request):
        return ShopAdmin.get_queryset(self, request).exclude(name="another's")


class Annotated:
    def get_queryset(self, request):
        return ShopAdmin.get_queryset(self, request).select_related().order_by("name")


class OnlyOwnButAll:
    get_queryset = OnlyOwn.get_queryset

    def has_full_history_permission(self, request):
        return True


@pytest.mark.parametrize(
    ("part", "status"), [(OnlyOwn, 404), (Annotated, 200), (OnlyOwnButAll, 200)], ids=["own", "annotated", "hook"]
)
def test_a_deleted_row_is_shown_to_users_who_see_all_rows(clerk, part, status):
    customer = Customer.objects.create(name="another's")
    version = versions(customer)[0]
    url, key = history_of(customer), customer.pk
    with administered(Customer, part):
        customer.delete()
        page(clerk, url, status)
        page(clerk, url + "restore/", status, version=version)
        for text in (page(clerk, LOG), page(clerk, LOG, model="shop.customer", key=key)):
            assert ("another&#x27;s" in text) is (status == 200)
        export = clerk.get(LOG, {"format": "ndjson"})
        assert (b"another's" in b"".join(export.streaming_content)) is (status == 200)


def test_related_rows_that_are_hidden_have_no_names(clerk):
    order = Order.objects.create(customer=Customer.objects.create(name="another's"))
    with administered(Customer, OnlyOwn):
        assert "another&#x27;s" not in page(clerk, history_of(order))


def test_versions_are_written_without_separators(boss, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval('pubsubpull_change_id_seq', greatest(nextval('pubsubpull_change_id_seq'), 12345))"
        )
    customer = Customer.objects.create(name="a")
    Customer.objects.update(name="b")
    version = versions(customer)[1]
    text = page(boss, history_of(customer))
    assert f'href="restore/?version={version}"' in text
    text = page(boss, history_of(customer) + "restore/", version=version)
    assert f'name="version" value="{version}"' in text
    for url in (history_of(customer), LOG, history_of(customer) + f"restore/?version={version}"):
        assert f"{version:,}" not in page(boss, url).split('id="content-main"')[1]


@pytest.mark.parametrize("key", ["%00", "a%00b", "9" * 40, "certainly not"])
def test_an_odd_key_is_not_found(boss, key):
    for below in ("", "restore/"):
        page(boss, f"/admin/shop/customer/{key}/history/{below}", 404)


def test_a_page_leads_back_to_the_list_and_the_object(boss):
    order = Order.objects.create()
    version, url = versions(order)[0], history_of(order)
    for shown in (page(boss, url), page(boss, url + "restore/", version=version)):
        crumbs = shown.split('class="breadcrumbs"')[1].split("</div>")[0]
        assert 'href="/admin/shop/order/"' in crumbs
        assert f'href="/admin/shop/order/{order.pk}/change/"' in crumbs
    order.delete()
    crumbs = page(boss, url).split('class="breadcrumbs"')[1].split("</div>")[0]
    assert "/change/" not in crumbs


def test_a_search_for_odd_characters_says_so(boss):
    for name in ("user", "path", "column"):
        assert "NUL" in page(boss, LOG, **{name: "\0"})
    page(boss, LOG, model="shop.customer", key="a\0")


@pytest.mark.parametrize("use_tz", [True, False])
def test_a_span_of_time_is_asked_for_with_and_without_time_zones(boss, settings, use_tz):
    settings.USE_TZ = use_tz
    customer = Customer.objects.create(name="wanted")
    for url in (LOG, history_of(customer)):
        assert "wanted" in page(boss, url, since="2001-01-01", until="2999-01-01T10:00")
        assert "<td>wanted" not in page(boss, url, until="2001-01-01")


REFUSALS = {
    "rule": "CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;"
    "CREATE TRIGGER no BEFORE UPDATE ON shop_customer FOR EACH ROW EXECUTE FUNCTION pg_temp.no()",
    "internal": "CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today' "
    "USING ERRCODE = 'XX000'; END $$;"
    "CREATE TRIGGER no BEFORE UPDATE ON shop_customer FOR EACH ROW EXECUTE FUNCTION pg_temp.no()",
    "right": "CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today' "
    "USING ERRCODE = '42501'; END $$;"
    "CREATE TRIGGER no BEFORE UPDATE ON shop_customer FOR EACH ROW EXECUTE FUNCTION pg_temp.no()",
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_the_databases_refusal_is_shown_on_the_page(boss, refusal):
    customer = Customer.objects.create(name="a")
    first = versions(customer)[0]
    Customer.objects.update(name="b")
    with connection.cursor() as cursor:
        cursor.execute(REFUSALS[refusal])
    try:
        answer = boss.post(history_of(customer) + "restore/", {"version": first})
        with pytest.raises(exceptions.RestoreError, match="not today"):
            pubsubpull.restore(customer, first)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER no ON shop_customer")
    assert answer.status_code == 409
    assert "not today" in answer.content.decode()


def test_refused_values_are_not_logged(boss):
    customer = Customer.objects.create(name="a")
    before = Change.objects.filter(model="shop.customer").count()
    assert boss.post(history_of(customer) + "restore/", {"version": 999_999_999}).status_code == 409
    assert Change.objects.filter(model="shop.customer").count() == before
