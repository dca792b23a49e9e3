"""Settings of worker processes that tests start: the settings of the suite, with times from the environment."""

from __future__ import annotations

import json
import logging
import os
import sys

from tests import wrong_clock
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, PUBSUBPULL

if "PUBSUBPULL_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["PUBSUBPULL_DATABASE"]
PUBSUBPULL = {**PUBSUBPULL, **json.loads(os.environ.get("PUBSUBPULL_SETTINGS", "{}"))}
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
if "CLOCK_OFF" in os.environ:
    wrong_clock.set_off(float(os.environ["CLOCK_OFF"]))
