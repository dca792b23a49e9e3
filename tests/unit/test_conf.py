"""The settings, and the messages about wrong ones."""

from __future__ import annotations

import dataclasses

import pytest
from django.core.management import call_command
from django.test import override_settings

from pubsubpull import conf, exceptions
from pubsubpull.checks import serving as serving_checks
from pubsubpull.checks import settings as settings_checks


def test_defaults_hold_where_nothing_is_set():
    with override_settings(PUBSUBPULL={}):
        assert conf.get() == conf.DEFAULTS


def test_a_setting_is_read_once_and_again_when_it_changes():
    with override_settings(PUBSUBPULL={"SERVICE_NAME": "a"}):
        assert conf.get() is conf.get()
        with override_settings(PUBSUBPULL={"SERVICE_NAME": "b"}):
            assert conf.get().SERVICE_NAME == "b"
        assert conf.get().SERVICE_NAME == "a"


def test_the_settings_cannot_be_written():
    with pytest.raises(dataclasses.FrozenInstanceError):
        conf.get().SERVICE_NAME = "x"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "PUBSUBPULL must be a dict"),
        ({"COLOUR": "x"}, "COLOUR is no setting; there are SERVICE_NAME"),
        ({"retenton": 3}, "retenton is no setting; did you mean RETENTION"),
        ({"SERVICE_NAME": ""}, "SERVICE_NAME must be a text"),
        ({"SERVICE_NAME": 3}, "SERVICE_NAME must be a text, not 3"),
        ({"DOCS": "everyone"}, "DOCS must be staff, public or off"),
        ({"DATABASE": "nowhere"}, "DATABASE must be an alias of DATABASES"),
        ({"PAGE_LIMIT": "10"}, "PAGE_LIMIT must be a whole number"),
        ({"PAGE_LIMIT": 1.5}, "PAGE_LIMIT must be a whole number"),
        ({"PAGE_LIMIT": True}, "PAGE_LIMIT must be a whole number"),
        ({"PAGE_LIMIT": 0}, "PAGE_LIMIT must be above 0"),
        ({"PARTITION_SIZE": 10**10}, "PARTITION_SIZE must be at most 1000000000"),
        ({"LEASE": -1}, "LEASE must be above 0"),
        ({"LEASE": "1"}, "LEASE must be a number"),
        ({"SERVICES": {"x": {"url": "http://x/", "token": "t", "origin": "a b"}}}, "must have an origin as a host"),
        ({"CALLBACK_ADDRESSES": "10.0.0.0/8"}, "CALLBACK_ADDRESSES must be a list of texts"),
        ({"CALLBACK_ADDRESSES": [10]}, "CALLBACK_ADDRESSES must be a list of texts"),
        (
            {"CALLBACK_ADDRESSES": ["10.0.0.1/8"]},
            "CALLBACK_ADDRESSES has '10.0.0.1/8', which is no network",
        ),
        ({"CALLBACK_ADDRESSES": ["billing.example"]}, "which is no network"),
        ({"CALLBACK_HOSTS": [""]}, "CALLBACK_HOSTS has '', which is no host's name"),
        ({"CALLBACK_HOSTS": ["*"]}, "which is no host's name"),
        ({"CALLBACK_HOSTS": ["http://billing.example"]}, "which is no host's name"),
        ({"CALLBACK_HOSTS": ["billing.example:80"]}, "which is no host's name"),
        ({"CALLBACK_HOSTS": ["10.0.0.1"]}, "which is an address: it belongs into CALLBACK_ADDRESSES"),
        ({"CALLBACK_HOSTS": "billing.example"}, "CALLBACK_HOSTS must be a list of texts"),
        ({"VERIFY": True}, "VERIFY must be a text, not True"),
        ({"VERIFY": "yes"}, "VERIFY must be off, on or always, not 'yes'"),
        ({"ORIGIN": "http://shop.example"}, "ORIGIN must be as a host's name"),
        ({"ORIGIN": None}, "ORIGIN must be a text"),
        ({"TRUSTED_PROXIES": -1}, "TRUSTED_PROXIES must be above 0"),
    ],
)
def test_a_wrong_setting_is_a_check_that_names_it_and_stops_nothing_but_its_use(given, reason):
    with override_settings(PUBSUBPULL=given):
        (error,) = settings_checks.check_settings()
        assert error.id == "pubsubpull.E001"
        assert reason in error.msg
        with pytest.raises(exceptions.SettingsError, match=reason.split(";")[0]):
            conf.get()


def test_a_whole_number_serves_where_seconds_are_wanted_and_zero_where_it_is_the_default():
    with override_settings(PUBSUBPULL={"LEASE": 10, "TRUSTED_PROXIES": 0}):
        assert settings_checks.check_settings() == []


def test_lists_are_taken_and_cannot_be_changed_afterwards():
    with override_settings(PUBSUBPULL={"CALLBACK_ADDRESSES": ["10.1.0.0/16", "::1"], "CALLBACK_HOSTS": [".example"]}):
        assert settings_checks.check_settings() == []
        assert conf.get().CALLBACK_ADDRESSES == ("10.1.0.0/16", "::1")
        assert conf.get().CALLBACK_HOSTS == (".example",)


def test_a_database_that_is_not_postgresql_is_an_error():
    from django.db import connections

    class Other:
        vendor = "sqlite"

    real = connections["second"]
    connections["second"] = Other()
    try:
        with override_settings(PUBSUBPULL={"DATABASE": "second"}):
            (error,) = settings_checks.check_settings()
    finally:
        connections["second"] = real
    assert error.id == "pubsubpull.E002"


def test_a_missing_middleware_is_a_warning():
    assert serving_checks.check_middleware() == []
    with override_settings(MIDDLEWARE=[]):
        (warning,) = serving_checks.check_middleware()
    assert warning.id == "pubsubpull.W001"


def test_a_network_that_takes_in_a_clouds_metadata_service_is_a_warning():
    assert settings_checks.check_callbacks() == []
    with override_settings(PUBSUBPULL={"CALLBACK_ADDRESSES": ["10.0.0.0/8", "169.254.0.0/16", "::/0"]}):
        assert [(one.id, "169.254.0.0/16" in one.msg) for one in settings_checks.check_callbacks()] == [
            ("pubsubpull.W007", True),
            ("pubsubpull.W007", False),
        ]
    with override_settings(PUBSUBPULL=[]):
        assert settings_checks.check_callbacks() == []


def test_asking_for_consent_without_an_own_origin_is_a_warning():
    with override_settings(PUBSUBPULL={"VERIFY": "on"}):
        assert [one.id for one in settings_checks.check_callbacks()] == ["pubsubpull.W008"]
    with override_settings(PUBSUBPULL={"VERIFY": "on", "ORIGIN": "shop.example"}):
        assert settings_checks.check_callbacks() == []


def test_the_test_project_passes_its_checks():
    call_command("check", fail_level="WARNING")
