"""Views that write, for the tests of the middleware."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.http import HttpResponse, StreamingHttpResponse

import pubsubpull
from tests.shop.models import Customer


def write(request, name):
    Customer.objects.create(name=name)
    return HttpResponse("written", status=201)


async def write_later(request, name):
    await Customer.objects.acreate(name=name)
    return HttpResponse("written", status=201)


def read(request):
    return HttpResponse(str(Customer.objects.count()))


def read_with(request):
    """Read by a common table expression."""
    with connection.cursor() as cursor:
        cursor.execute("WITH found AS (SELECT count(*) FROM shop_customer) SELECT * FROM found")
        return HttpResponse(str(cursor.fetchall()))


def write_other(request):
    """Write into a table that is not published."""
    Session.objects.create(session_key="other", session_data="", expire_date="2099-01-01T00:00:00Z")
    return HttpResponse("written")


def write_reason(request, name):
    with pubsubpull.context(reason="typo"):
        Customer.objects.create(name=name)
    return HttpResponse("written")


def fail(request, name):
    Customer.objects.create(name=name)
    raise ZeroDivisionError


def stream(request, name):
    def chunks():
        yield "a"
        Customer.objects.create(name=name)
        yield "b"

    return StreamingHttpResponse(chunks())


async def stream_later(request, name):
    async def chunks():
        yield "a"
        await Customer.objects.acreate(name=name)
        yield "b"

    return StreamingHttpResponse(chunks())


def late_user(request, name):
    """Do as an API framework does: read first, know the user later, then write, all in one transaction."""
    from django.contrib.auth.models import User

    with transaction.atomic():
        Customer.objects.create(name="before")
        request.user = User.objects.get(username="token")
        Customer.objects.create(name=name)
    return HttpResponse("written")


def broken_user(request, name):
    class Broken:
        @property
        def is_authenticated(self):
            raise ValueError("a secret of the application's")

    request.user = Broken()
    Customer.objects.create(name=name)
    return HttpResponse("written")
