"""The admin's pages: no stored or reflected text becomes markup, no page fails, and permissions hold."""

from __future__ import annotations

import html.parser
import itertools
import json

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

import pubsubpull
from pubsubpull.models import Failure, Host, Subscription
from pubsubpull.pull import consumers
from pubsubpull.subscriptions import service
from tests.shop.models import Customer, Order

pytestmark = pytest.mark.django_db(transaction=True)
LOG = "/admin/pubsubpull/change/"
SUBSCRIPTIONS = "/admin/pubsubpull/subscription/"
PAYLOADS = [
    "<script>evil()</script>",
    "\"><img src=x evil=1 onerror='evil()'>",
    "' evil=1 onmouseover=evil() x='",
    "</title></textarea></style></script><svg evil=1 onload=evil()>",
    "javascript:evil()",
    "{{ evil }}{% evil %}",
    "&lt;b evil=1&gt;",
    "<!--<evil>-->",
    "\u202e<evil>\u2028",
    "x" * 10_000 + "<evil>",
]
"""Each would make a tag or an attribute named evil, a link that runs, or a template's error."""


class Seen(html.parser.HTMLParser):
    """Records the parts of a page that differ from its templates."""

    def __init__(self):
        super().__init__()
        self.evil = []

    def handle_starttag(self, tag, attributes):
        for name, value in [(tag, ""), *attributes]:
            leads = (value or "").strip().lower() if name in {"href", "src", "action"} else ""
            runs = leads.startswith(("javascript:", "data:"))
            if name == "evil" or name.startswith("on") or runs:
                self.evil.append((tag, name, value))

    def handle_data(self, data):
        if self.cdata_elem and "evil" in data:
            self.evil.append((self.cdata_elem, data))


def look(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code in {200, 302, 404, 409}, (url, query, answer.status_code)
    page = b"".join(answer).decode()
    if answer.headers["Content-Type"].startswith("text/html"):
        seen = Seen()
        seen.feed(page)
        assert not seen.evil, (url, query, seen.evil)
    else:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return answer


def aside(made, number, text="shop.customer"):
    """Set a change aside that has this text in all its parts."""
    head = {
        "version": number,
        "transaction": "1",
        "model": text,
        "key": text,
        "op": "insert",
        "at": "2026-01-01T00:00:00Z",
    }
    item = json.dumps({**head, "request": None, "old": None, "new": {text[:50]: text}}, separators=(",", ":"))
    said = {"error": text, "answer": text}
    return Failure.objects.create(subscription=made, version=number, model=text, op="I", item=item, attempts=1, **said)


@pytest.fixture
def boss():
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def stored():
    """Store each text in every place open to foreign input; return the pages that show them."""
    pages = {LOG, SUBSCRIPTIONS}
    for number, text in enumerate(PAYLOADS):
        user = User(pk=1000 + number, username=text[:150])
        with pubsubpull.context(source="test", user=user, metadata={text[:50]: text}) as context:
            customer = Customer.objects.create(name=text, email=text * 2)
            Customer.objects.filter(pk=customer.pk).update(name=text + "2", email="y" * 100)
        version = pubsubpull.history(customer)[1].version
        own = f"/admin/shop/customer/{customer.pk}/history/"
        pages |= {own, f"{own}restore/?version={version}", f"{LOG}requests/{context.id}/"}
    consumer = consumers.add("<evil>", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/%22%3E?x='evil'", models=["shop.customer"])
    made, _ = service.put(consumer, "main", wish)
    Subscription.objects.update(last_error="".join(PAYLOADS), state="failing", attempts=3)
    for number, text in enumerate(PAYLOADS):
        aside(made, number, text)
    return [*sorted(pages), f"{SUBSCRIPTIONS}{made.pk}/failures/"]


def test_no_stored_text_becomes_markup(boss, stored):
    assert len(stored) == 3 + 3 * len(PAYLOADS)
    for url in stored:
        assert look(boss, url).status_code == 200, url


PARAMETERS = [
    "model", "key", "user", "path", "since", "until", "column", "before", "version", "latest", "format", "next", "q",
    "state", "e", "p",
]  # fmt: skip


def test_no_text_of_an_address_becomes_markup(boss):
    customer = Customer.objects.create(name="a")
    own = f"/admin/shop/customer/{customer.pk}/history/"
    odd = [*PAYLOADS[:-1], "\x00", "9" * 400, "-1", "1e9", "", "٣", "2026-99-99", "0001-01-01", "9999-12-31T23:59:59"]
    pages = [LOG, SUBSCRIPTIONS, own, f"{own}restore/"]
    for url, text in itertools.product(pages, odd):
        look(boss, url, **dict.fromkeys(PARAMETERS, text))
    for url, name, text in itertools.product(pages, PARAMETERS, (PAYLOADS[1], "\x00")):
        look(boss, url, **{name: text})


@pytest.mark.parametrize("text", [*PAYLOADS[:-1], "_00", "\x00", "_", "a/b", "..", "%2e%2e"])
def test_no_key_in_a_path_becomes_markup_or_an_error(boss, text):
    for end in ("", "restore/", "restore/?version=1"):
        look(boss, f"/admin/shop/customer/{text.replace('?', '').replace('/', '_2F')}/history/{end}")


def acts(customer, made, failure):
    """Return each address that changes data by POST, with the posted data."""
    chosen = {"_selected_action": str(made.pk)}
    yield f"/admin/shop/customer/{customer.pk}/history/restore/", {"version": 1}
    yield f"{SUBSCRIPTIONS}{made.pk}/rewind/", {"to": "start"}
    yield from ((SUBSCRIPTIONS, {"action": name, **chosen}) for name in ("pause", "resume", "delete_selected"))
    yield from ((f"{SUBSCRIPTIONS}{made.pk}/failures/{failure.pk}/{name}/", {}) for name in ("retry", "drop"))


@pytest.fixture
def there():
    customer = Customer.objects.create(name="a")
    Customer.objects.update(name="b")
    consumer = consumers.add("billing", ["*"], may_subscribe=True)[0]
    wish = service.SubscriptionSpec(callback="http://127.0.0.1:9/", models=["shop.customer"])
    made, _ = service.put(consumer, "main", wish)
    return customer, made, aside(made, 7)


def state():
    rows = (Customer, Subscription, Failure, Host)
    return [list(model.objects.values_list()) for model in rows]


def staff(*names):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    return user


VIEWING = ["view_customer", "view_change", "view_subscription", "view_failure", "view_request"]


@pytest.mark.parametrize("names", [[], VIEWING, ["change_order", "view_order"]])
def test_a_user_without_the_change_permission_changes_nothing(there, names):
    client, before = Client(), state()
    client.force_login(staff(*names))
    for url, body in acts(*there):
        assert client.post(url, body).status_code in {200, 302, 403, 404, 405}, url
        assert state() == before, url


def test_nothing_is_done_without_the_token_against_forged_requests(there):
    client, before = Client(enforce_csrf_checks=True), state()
    client.force_login(User.objects.create_superuser("boss"))
    for url, body in acts(*there):
        assert client.post(url, body).status_code in {403, 404}, url
        assert client.get(url, body).status_code != 500
        assert state() == before, url


def test_a_user_without_the_view_permission_sees_nothing(there):
    client = Client()
    Order.objects.create(reference="secret-51f0")
    client.force_login(staff("view_customer"))
    for url in (LOG, SUBSCRIPTIONS, f"{LOG}?model=shop.order", f"{LOG}?format=csv", f"{LOG}?format=ndjson"):
        answer = client.get(url)
        assert b"secret-51f0" not in b"".join(answer), url
    assert client.get(f"/admin/shop/order/{Order.objects.get().pk}/history/").status_code == 403
    for url in (LOG, SUBSCRIPTIONS):
        assert Client().get(url).status_code == 302


def test_no_button_leads_elsewhere(boss, there):
    for url, body in acts(*there):
        for name in ("next", "to", "_popup"):
            answer = boss.post(f"{url}?next=//evil.example&{name}=//evil.example", {**body, "next": "//evil.example"})
            assert "evil.example" not in answer.headers.get("Location", "").split("?")[0], url
