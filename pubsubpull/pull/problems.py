"""Problem documents (RFC 9457): every error that the API answers with."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from django.db import OperationalError, ProgrammingError
from django.http import HttpResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError
from psycopg.errors import InsufficientPrivilege, QueryCanceled, UndefinedFunction, UndefinedTable

from pubsubpull import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from ninja import NinjaAPI

TYPE_PREFIX = "urn:pubsubpull:problem:"
TOOK_TOO_LONG = "The database took too long. Ask for less at a time, or try again."


class Problem(Exception):
    """An error answer. `type` is a stable word for programs, and `field` the part of the call that is wrong."""

    def __init__(
        self,
        *,
        status: int,
        type: str,  # noqa: A002  the standard's name
        title: str,
        detail: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.field = field
        self.headers = headers or {}


def response(problem: Problem) -> HttpResponse:
    """Return the problem as an answer of its own media type."""
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        body["field"] = problem.field
    return HttpResponse(
        json.dumps(body), status=problem.status, content_type="application/problem+json", headers=problem.headers
    )


def invalid(field: str, detail: str) -> Problem:
    """Return the problem of a part of the call that cannot be taken."""
    return Problem(status=400, type="invalid", title="The call is not valid", detail=f"{field}: {detail}", field=field)


def not_found(detail: str, field: str | None = None) -> Problem:
    """Return the problem of something that is not there, or not for this consumer."""
    return Problem(status=404, type="not-found", title="Not found", detail=detail, field=field)


def unauthorized() -> Problem:
    """Return the problem of a call without a token that is known."""
    return Problem(
        status=401,
        type="unauthorized",
        title="Not authorized",
        detail="Send a valid token, as in: Authorization: Bearer psp_…",
        headers={"WWW-Authenticate": "Bearer"},
    )


def forbidden(detail: str) -> Problem:
    """Return the problem of a consumer that lacks a grant."""
    return Problem(status=403, type="forbidden", title="Not granted", detail=detail)


def expired(error: exceptions.CursorExpired) -> Problem:
    """Return the problem of a cursor that cannot be gone on from."""
    return Problem(status=410, type="cursor-expired", title="The cursor has expired", detail=str(error), field="after")


def erased(error: exceptions.HistoryErased) -> Problem:
    """Return the problem of a past that was erased."""
    return Problem(status=410, type="erased", title="Erased on request", detail=str(error), field="at")


def uncaptured(error: exceptions.HistoryUncaptured) -> Problem:
    """Return the problem of a past that was not captured."""
    return Problem(status=410, type="uncaptured", title="Not captured", detail=str(error), field="at")


def from_error(error: Exception) -> Problem | None:  # noqa: C901, PLR0911, PLR0912  a table
    """Return the problem for an error of the package, of ninja or of the database; None for an unexpected error."""
    match error:
        case Problem():
            return error
        case exceptions.CursorInvalid():
            return invalid("after", str(error))
        case exceptions.CursorExpired():
            return expired(error)
        case exceptions.HistoryErased():
            return erased(error)
        case exceptions.HistoryUncaptured():
            return uncaptured(error)
        case exceptions.Unreadable():
            # Not 503, which is tried again: until somebody mends the row, each try fails.
            return Problem(status=500, type="unreadable", title="A row cannot be read", detail=str(error))
        case exceptions.TooLarge():
            return Problem(status=413, type="too-large", title="Too large", detail=str(error))
        case exceptions.SubscriptionError():
            return invalid(error.field, error.reason)
        case exceptions.MetricsUnavailable():
            return Problem(status=501, type="not-installed", title="Not installed", detail=str(error))
        case AuthenticationError():
            return unauthorized()
        case ValidationError():
            return _validation(error)
        # ninja's own error of a body that it cannot parse.
        case HttpError(status_code=400):
            return invalid("body", "is not JSON in UTF-8.")
        case HttpError():
            return Problem(status=error.status_code, type="invalid", title="The call is not valid", detail=str(error))
        case exceptions.RowsHidden():
            return unavailable(
                "Row level security hides rows of this table from the service. Its operator sees to that."
            )
        case OperationalError() | ProgrammingError():
            return _of_database(error)
    return None


def _of_database(error: OperationalError | ProgrammingError) -> Problem | None:
    """Return the problem of an error of the database. It names no table and quotes no statement."""
    match error:
        case OperationalError():
            slow = isinstance(error.__cause__, QueryCanceled)
            return unavailable(TOOK_TOO_LONG if slow else "The database does not answer. Try again.")
        case ProgrammingError() if _is_of_log(error, UndefinedTable, UndefinedFunction):
            return unavailable("The service's change log is not there. Its operator runs: manage.py migrate")
        case ProgrammingError() if _is_of_log(error, InsufficientPrivilege):
            return unavailable("The service's role lacks a right on its change log. manage.py check says which.")
    return None


def unavailable(detail: str) -> Problem:
    """Return the problem of a call that cannot be answered now."""
    return Problem(
        status=503, type="unavailable", title="Not available now", detail=detail, headers={"Retry-After": "1"}
    )


def _is_of_log(error: ProgrammingError, *kinds: type[Exception]) -> bool:
    # The first line alone names the object that is missing: the others quote the statement.
    return isinstance(error.__cause__, kinds) and "pubsubpull_" in next(iter(str(error).splitlines()), "")


def install(api: NinjaAPI) -> None:
    """Have the API answer each expected error with its problem document."""

    def handle(_request: HttpRequest, error: Any) -> HttpResponse:
        problem = from_error(error)
        # An error of the application's own code stays one, so that it is logged and reported as such.
        if problem is None:
            raise error
        return response(problem)

    for kind in (
        Problem,
        exceptions.CursorError,
        exceptions.HistoryErased,
        exceptions.HistoryUncaptured,
        exceptions.Unreadable,
        exceptions.TooLarge,
        exceptions.SubscriptionError,
        exceptions.MetricsUnavailable,
        exceptions.RowsHidden,
        AuthenticationError,
        ValidationError,
        HttpError,
        OperationalError,
        ProgrammingError,
    ):
        api.add_exception_handler(kind, handle)


def as_problems(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Wrap a view so that its 405 is a problem document too."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = view(request, *args, **kwargs)
        if answer.status_code != 405:
            return answer
        allowed = answer.headers.get("Allow", "")
        return response(
            Problem(
                status=405,
                type="method-not-allowed",
                title="Method not allowed",
                detail=f"This address takes {allowed}.",
                headers={"Allow": allowed},
            )
        )

    return wrapped


def _validation(error: ValidationError) -> Problem:
    """Return the problem of the first field that does not validate."""
    first = error.errors[0]
    # Without the names of ninja's own arguments, which the caller has not written.
    names = [str(part) for part in first["loc"] if part not in {"query", "path", "body", "payload"}]
    field = ".".join(names) or "body"
    return invalid(field, str(first["msg"]))
