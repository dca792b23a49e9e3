"""The messages about errors of the database, and about wrong arguments of the client."""

from __future__ import annotations

import psycopg
import pytest
import requests
from django.db import OperationalError, ProgrammingError
from psycopg import errors

from pubsubpull import Client, exceptions
from pubsubpull.management import command_errors
from pubsubpull.pull import client_checks
from pubsubpull.replica import services
from tests import processes


def caused(error, cause):
    error.__cause__ = cause
    return error


def test_a_database_that_does_not_answer_is_named_with_the_settings_to_look_at():
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(host="127.0.0.1", port=processes.free_port())
    told = command_errors.advice(caused(OperationalError(str(refused.value)), refused.value), "default")
    assert told.startswith("The database default does not answer: ")
    assert "DATABASES['default']" in told
    assert "\n" not in told


def test_a_missing_permission_is_reported_with_the_role_that_has_it():
    cause = errors.InsufficientPrivilege("permission denied for table pubsubpull_seal")
    told = command_errors.advice(caused(ProgrammingError(str(cause)), cause), "default")
    assert told.startswith("permission denied for table pubsubpull_seal. Run it with the role that owns the log")


def test_another_error_of_the_database_is_said_in_its_own_first_line():
    assert (
        command_errors.advice(OperationalError("canceling statement\nCONTEXT: x"), "default") == "canceling statement"
    )


@pytest.mark.parametrize("url", ["shop.example/pubsubpull/", "ftp://shop.example/", "", "http://", "http://[", None])
def test_the_client_refuses_an_invalid_address_at_once(url):
    with pytest.raises(exceptions.ServiceError, match="url: must be as https://"):
        Client(url, "psp_x")


@pytest.mark.parametrize("token", [None, "", " ", "psp_x\npsp_y", "psp_é"])
def test_the_client_refuses_an_invalid_token_and_does_not_show_it(token):
    with pytest.raises(exceptions.ServiceError, match="token: must be the text") as refused:
        Client("https://shop.example/", token)
    assert "psp_" not in str(refused.value)


def test_a_token_read_from_a_file_may_end_its_line():
    assert client_checks.sendable("psp_x\n") == "psp_x"


def test_one_model_may_be_named_by_its_text():
    assert client_checks.labels("shop.order") == client_checks.labels(["shop.order"]) == ["shop.order"]


def answer(status, **headers):
    made = requests.Response()
    made.status_code, made.url, made._content = status, "http://shop.example/?x=1", b"<html>"
    made.headers.update(headers)
    return made


def test_an_answer_that_is_not_the_apis_says_where_to_look():
    with pytest.raises(exceptions.RequestRefused, match=r"404: http://shop.example/ gave .*is pubsubpull.urls mounted"):
        client_checks.result(answer(404))
    with pytest.raises(exceptions.RequestRefused, match=r"301: http://shop.example/ leads to 'https://shop.example/'"):
        client_checks.result(answer(301, Location="https://shop.example/"))


def test_an_error_with_a_service_names_it_and_the_settings_that_say_where_it_is():
    told = services.told("shop", exceptions.RequestRefused(401, {"detail": "Send a valid token."}))
    assert told.startswith("shop cannot be followed: 401: Send a valid token.")
    assert "PUBSUBPULL['SERVICES']['shop']" in told
    for elsewhere in (OperationalError("gone"), exceptions.RequestRefused(400, {"detail": "callback: must be a URL."})):
        assert "SERVICES" not in services.told("shop", elsewhere)
