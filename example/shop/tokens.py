"""The shop's callers: users with a bearer token."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser, User
from django.utils.functional import SimpleLazyObject

from example.shop.models import Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


def issue(username: str) -> str:
    """Make a token for the user, creating a missing user; it is shown this once."""
    user, _ = User.objects.get_or_create(username=username)
    token = secrets.token_urlsafe(32)
    Token.objects.create(user=user, digest=_digest(token))
    return token


class TokenMiddleware:
    """Sets `request.user` from `Authorization: Bearer …`, where that was sent, when it is asked for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "Authorization" in request.headers:  # in the admin, the session names the user
            request.user = SimpleLazyObject(lambda: _user(request))
        return self.get_response(request)


def _user(request: HttpRequest) -> User | AnonymousUser:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return AnonymousUser()
    found = Token.objects.select_related("user").filter(digest=_digest(token), user__is_active=True).first()
    return found.user if found else AnonymousUser()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
