"""Fixtures of replicas: the shop and its follower are of one process and one database here."""

from __future__ import annotations

import pytest
from django.test import override_settings

from pubsubpull.pull import consumers
from pubsubpull.replica import declaration
from pubsubpull.replica import follower as replica_follower
from pubsubpull.replica.sizes import Sizes

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
def sizes(request):
    """Return the sizes of a follower; a test may parametrise it with other values."""
    return Sizes(**getattr(request, "param", {}))


@pytest.fixture
def outcomes():
    """List the fate of each page: the applier's name, and its outcome."""
    return []


@pytest.fixture
def follow(shop, outcomes):
    """Make followers of the shop."""

    def make(**options):
        options = {"using": "default", "wait": 0.2, "observe": lambda *told: outcomes.append(told), **options}
        return replica_follower.Follower("shop", **options)

    return make


@pytest.fixture
def follower(follow, sizes):
    """Return a follower of the shop."""
    return follow(sizes=sizes)


@pytest.fixture
def only():
    """Return a function that leaves only some replicas declared. Declarations made then end with the test."""
    before = declaration.all_replicas()

    def leave(*names):
        for name, replica in declaration.all_replicas().items():
            if name not in names:
                declaration.forget(replica.model)

    yield leave
    leave()
    for replica in before.values():
        declaration.add(replica)
