from __future__ import annotations

import os
import subprocess
import sys

import pytest

from facewire_export.machine import same_priority

ASK = """
import os, subprocess, sys
from facewire_export.machine import forbid_realtime
if sys.argv[1] == "forbidden":
    forbid_realtime()
code = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); print('real-time')"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
"""


def test_the_priority_is_that_of_before() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may ask for real-time priority")
    before = os.sched_getscheduler(0)
    try:
        with same_priority():
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pytest.skip("real-time priority is not to be had here")
    assert os.sched_getscheduler(0) == before != os.SCHED_RR


def asked(word: str) -> bool:
    """Whether a program that is started by one that forbade it (or did not) gets real-time priority."""
    done = subprocess.run([sys.executable, "-c", ASK, word], capture_output=True, text=True, check=True)
    return "real-time" in done.stdout


def test_what_is_started_gets_no_realtime_priority() -> None:
    if os.geteuid() != 0 or not asked("allowed"):
        pytest.skip("real-time priority is not to be had here anyway")
    assert not asked("forbidden")
