"""The faults' short form: a few of them, in seconds; `make faults` lets things fail for minutes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.faults import receiving, suite
from tests.processes import ROOT

pytestmark = pytest.mark.acceptance


def test_every_committed_change_arrives_in_order_whatever_fails():
    command = [
        sys.executable,
        "-m",
        "tests.faults",
        "--seconds",
        "5",
        "--seed",
        "402",
        "--pause",
        "0.03",
        "--rows",
        "3000",
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    outcomes = re.findall(r"changes (\d+), .* lost 0, out of order 0, set aside 0, rows that differ 0", ran.stdout)
    assert len(outcomes) == 3
    assert "told 410" not in ran.stdout
    assert all(int(changes) > 20 for changes in outcomes)
    assert "worker killed" in ran.stdout


def item(version, key="1", op="update"):
    return {"model": "m", "key": key, "version": version, "op": op, "new": {"id": key, "v": version}}


def test_the_copy_notices_doubled_and_disordered_changes():
    copy = receiving.Copy()
    copy.apply({"items": [item(1), item(3), item(9, "2")], "cursor": "a"})
    copy.apply({"items": [item(3), item(2), item(5, op="snapshot")], "cursor": "b"})
    assert (copy.duplicates, copy.disorder, copy.snapshots, copy.seen) == (1, 1, 1, {1, 2, 3, 9})
    assert copy.table("m") == {"1": {"id": "1", "v": 5}, "2": {"id": "2", "v": 9}}


def test_the_same_seed_gives_the_same_faults():
    def first(seed):
        return [fault for fault, _ in zip(suite.schedule(seed), range(40), strict=False)]

    assert first(1) == first(1) != first(2)
    assert {fault.kind for fault in first(1)[: len(suite.KINDS)]} == set(suite.KINDS)


@pytest.mark.parametrize("wrong", ["lost", "disorder", "set_aside", "differences", "expired"])
def test_lost_or_disordered_changes_fail_the_run(wrong):
    fine = {"lost": 0, "disorder": 0, "set_aside": 0, "differences": 0}
    outcome = {"name": "n", "changes": 1, "duplicates": 5, "stall": 1.0, **fine}
    assert suite.Outcome(**outcome).well
    assert not suite.Outcome(**{**outcome, wrong: 1}).well
