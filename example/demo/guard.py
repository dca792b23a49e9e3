"""Ends the demo's processes when the demo was killed and could not.

It reads `+PID` and `-PID`, one a line, for each process group that begins and ends. When the demo ends, however it
does, the pipe closes. The guard then ends the running groups and deletes the folder of the logs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

PATIENCE = 5.0
"""Seconds that a group may take to end before it is killed."""


def main() -> None:
    groups: list[int] = []
    for line in sys.stdin:
        if line[0] == "+":
            groups.append(int(line[1:]))
        else:
            groups.remove(int(line[1:]))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            _send(group, number)
        end = time.monotonic() + PATIENCE
        while any(_send(group, 0) for group in groups) and time.monotonic() < end:
            time.sleep(0.05)
    if groups:
        shutil.rmtree(sys.argv[1], ignore_errors=True)


def _send(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
