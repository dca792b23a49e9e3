"""Behind Django REST framework, whose users are known only once its view has begun."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.response import Response
from rest_framework.views import APIView

from pubsubpull.audit.models import Request
from pubsubpull.log.models import Change
from tests.shop.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


class Token(BaseAuthentication):
    """A token is a user's name."""

    def authenticate(self, request):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token":
            return None
        try:
            return User.objects.get(username=token), token
        except User.DoesNotExist as error:
            raise AuthenticationFailed from error


class Customers(APIView):
    authentication_classes = [Token]
    permission_classes = []

    def post(self, request):
        with transaction.atomic():
            Customer.objects.create(name=request.data["name"])
        return Response({"user": str(request.user)}, status=201)


urlpatterns = [path("customers/", Customers.as_view(), name="customers")]


@pytest.fixture
def post(transactional_db):
    """Post a new customer as the session's user `session` and with the token given, if any."""
    User.objects.create(username="ann")
    client = Client()
    client.force_login(User.objects.create(username="session"))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM pubsubpull_request")

    def call(**headers):
        with override_settings(ROOT_URLCONF=__name__):
            return client.post("/customers/", {"name": "a"}, content_type="application/json", headers=headers)

    return call


def test_the_user_of_the_token_is_recorded_and_not_the_sessions(post):
    assert post(Authorization="Token ann").status_code == 201
    (found,) = Request.objects.all()
    assert (found.user_name, found.route, found.status) == ("ann", "customers", 201)
    assert Change.objects.filter(model="shop.customer").latest("id").request_id == found.id


def test_a_call_that_is_refused_leaves_no_request(post):
    assert post(Authorization="Token nobody").status_code in {401, 403}
    assert not Request.objects.exists()


def test_an_unauthenticated_caller_is_recorded_without_a_user(post):
    assert post().status_code == 201
    assert Request.objects.get().user_name is None
