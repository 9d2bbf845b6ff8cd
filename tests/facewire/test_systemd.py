"""The units, by systemd's own judgement, and against the rest of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from facewire import cli
from facewire.service import Notifier

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
ANALYZE = shutil.which("systemd-analyze")
SYSUSERS = shutil.which("systemd-sysusers")
THRESHOLD = 20
"""Exposure in tenths, of systemd 252, that no unit may exceed; 1.8 when it was written. 2.0 and less is "OK"."""

with_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_there_are_units() -> None:
    assert [u.name for u in UNITS] == [
        "facewire-decoder.service",
        "facewire-decoder@.service",
        "facewire-encoder.service",
    ]


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_verify_is_clean(unit: Path, tmp_path: Path) -> None:
    """With a program that exists here in the place of the installed one."""
    text, replaced = re.subn(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
    assert replaced == 1
    copy = tmp_path / unit.name
    copy.write_text(text)
    done = analyze("verify", "--man=no", str(copy))
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "facewire" in line]
    assert complaints == []


@with_systemd
def test_verify_finds_a_wrong_key(tmp_path: Path) -> None:
    """That the test above can fail."""
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNITS[0].read_text())
    copy = tmp_path / "facewire-x.service"
    copy.write_text(text.replace("WatchdogSec=", "WatchDogSec=", 1))
    assert "WatchDogSec" in analyze("verify", "--man=no", str(copy)).stderr


@with_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_exposure_stays_low(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={THRESHOLD}", str(unit))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze has no --offline")
    assert done.returncode == 0, (done.stdout.splitlines() or [done.stderr])[-1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_unit_is_watched_notifies_and_has_no_rights(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for line in ("Type=notify", "User=facewire", "Restart=always", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert line in lines
    (watchdog,) = [int(line.partition("=")[2]) for line in lines if line.startswith("WatchdogSec=")]
    assert Notifier({"WATCHDOG_USEC": str(watchdog * 1_000_000)}).watchdog_seconds == watchdog


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
@pytest.mark.parametrize(
    ("code", "status", "pauses"), [("exited", "1", True), ("exited", "0", False), ("killed", "KILL", False)]
)
def test_only_what_it_ended_for_by_itself_makes_a_pause(unit: Path, code: str, status: str, pauses: bool) -> None:
    (command,) = re.findall(r"(?m)^ExecStopPost=/bin/sh -c '(.*)'$", unit.read_text())
    script = command.replace("$$", "$").replace("sleep 3", "echo pause")
    told = {"EXIT_CODE": code, "EXIT_STATUS": status}  # systemd.exec(5)
    done = subprocess.run(["/bin/sh", "-c", script], env=told, capture_output=True, text=True, check=True)
    assert (done.stdout == "pause\n") == pauses


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_the_command_is_one_that_we_have(unit: Path) -> None:
    (command,) = re.findall(r"(?m)^ExecStart=/opt/facewire/\.venv/bin/facewire (.*)", unit.read_text())
    options = cli._parser().parse_args(command.split())
    (config,) = options.config if isinstance(options.config, list) else [options.config]
    assert config.startswith("/etc/facewire/")
    assert options.command in unit.name


@pytest.mark.skipif(SYSUSERS is None, reason="systemd-sysusers is not installed")
def test_sysusers_makes_the_user(tmp_path: Path) -> None:
    assert SYSUSERS
    (tmp_path / "etc").mkdir()
    done = subprocess.run(
        [SYSUSERS, f"--root={tmp_path}", str(ROOT / "systemd/facewire.sysusers")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if "Permission denied" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("needs rights that this user has not")
    assert done.returncode == 0, done.stderr
    assert re.search(r"(?m)^facewire:.*:/usr/sbin/nologin$", (tmp_path / "etc/passwd").read_text())
    groups = (tmp_path / "etc/group").read_text()
    assert re.search(r"(?m)^video:.*:facewire$", groups)
    assert re.search(r"(?m)^render:.*:facewire$", groups)


@with_systemd
def test_installed_files_are_all_there() -> None:
    """facewire.sh installs by name."""
    script = (ROOT / "facewire.sh").read_text()
    for file in (ROOT / "systemd").iterdir():
        assert file.name in script, f"facewire.sh does not install {file.name}"
