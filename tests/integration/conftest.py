"""Fixtures of replicas: the shop and its follower are of one process and one database here."""

from __future__ import annotations

import pytest
from django.test import override_settings

from pubsubpull.pull import consumers
from pubsubpull.replica import follower as replica_follower

SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD8fxPCVwuMO0="]


@pytest.fixture
def shop(live_server):
    """Serve the shop, and let its consumer into the settings; return how the settings name it."""
    token = consumers.add("billing", ["*"], may_subscribe=True)[1]
    service = {"url": f"{live_server.url}/pubsubpull/", "token": token, "secrets": SECRETS}
    given = {
        "SERVICE_NAME": "shop",
        "BACKOFF_FIRST": 0.01,
        "BACKOFF_LIMIT": 0.05,
        "SERVICES": {"shop": service},
        "CALLBACK_ADDRESSES": ["127.0.0.0/8"],
    }
    with override_settings(PUBSUBPULL=given):
        yield service


@pytest.fixture
def follower(shop):
    """Give a follower of the shop."""
    return replica_follower.Follower("shop", using="default", wait=0.2)
