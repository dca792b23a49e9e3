"""Settings of processes that follow the shop: as the suite's, with times that suit a test."""

from __future__ import annotations

import logging
import os
import sys

from tests import wrong_clock
from tests.settings import *  # noqa: F403
from tests.settings import PUBSUBPULL

PUBSUBPULL = {**PUBSUBPULL, "BACKOFF_FIRST": 0.05, "BACKOFF_LIMIT": 0.5}
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
if "CLOCK_OFF" in os.environ:
    wrong_clock.set_off(float(os.environ["CLOCK_OFF"]))
