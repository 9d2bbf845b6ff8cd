"""facewire.sh: takes over what is there, installs once, again only when the locks change. With a Python that only
writes down what it was asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    from tomllib import loads as _toml
else:
    from tomli import loads as _toml

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/bash
case "$*" in
    *sys.version_info*) exit ${WRONG_VERSION:-0} ;;
    -VV) echo Python 3.11.2 ;;
    -c*torch*) exit 1 ;;
    *) echo "$*" >>"$CALLS" ;;
esac
case "$*" in *"$FAIL"*) [ -z "$FAIL" ] || exit 1 ;; esac
"""


class Checkout:
    """A copy of what facewire.sh needs, with a virtual environment whose Python is the script above."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("facewire.sh", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "configs", folder / "configs")
        self.bin = folder / ".venv/bin"
        self.bin.mkdir(parents=True)
        (folder / ".venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = true\n")
        for name, text in (("python", PYTHON), ("facewire", '#!/bin/bash\necho "facewire $*" >>"$CALLS"\n')):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.calls = folder / "calls"

    def run(self, *arguments: str, fail: str = "", code: int = 0, **environ: str) -> list[str]:
        """What Python was asked to do while the script ran."""
        self.calls.write_text("")
        done = subprocess.run(
            [str(self.folder / "facewire.sh"), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "FACEWIRE_NO_APT": "1", "CALLS": str(self.calls), "FAIL": fail, **environ},
        )
        self.said = done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return self.calls.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_first_time_installs_and_second_time_does_nothing(checkout: Checkout) -> None:
    calls = checkout.run("compress", "a b", "c.fw")
    assert len(calls) == 3
    assert "install --no-deps -r" in calls[0]
    assert calls[0].endswith("/requirements.lock")
    assert "--no-deps -e" in calls[1]
    assert calls[2] == "facewire compress a b c.fw"
    assert checkout.run("compress", "a b", "c.fw") == calls[2:]


def test_a_new_lock_is_installed_and_nothing_else(checkout: Checkout) -> None:
    checkout.run("setup")
    with (checkout.folder / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    (call,) = checkout.run("setup")
    assert call.endswith("/requirements.lock")


def test_a_failed_installation_is_tried_again(checkout: Checkout) -> None:
    checkout.run("setup", fail="requirements.lock", code=1)
    assert len(checkout.run("setup")) == 2


def test_torch_that_cannot_be_had_does_not_stop_the_tests(checkout: Checkout) -> None:
    calls = checkout.run("test", "-x", fail="torch==")
    assert "skipped" in checkout.said
    asked = [next(word for word in ("ruff", "mypy", "pytest") if f"-m {word}" in call) for call in calls[-3:]]
    assert asked == ["ruff", "mypy", "pytest"]
    assert calls[-1].endswith(" -x")
    assert any("torch==" in call for call in checkout.run("test", fail="torch==")), "tried again next time"
    assert not any("torch==" in call for call in checkout.run("test", FACEWIRE_NO_TORCH="1"))


def test_one_red_tool_is_red_and_the_others_still_run(checkout: Checkout) -> None:
    checkout.run("setup", "dev")
    calls = checkout.run("test", fail="-m ruff", code=1)
    assert [call.split()[1] for call in calls[-3:]] == ["ruff", "mypy", "pytest"]


def test_an_environment_made_by_hand_is_taken_over(checkout: Checkout) -> None:
    config = checkout.folder / ".venv/pyvenv.cfg"
    config.write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    mine = checkout.folder / ".venv/mine"
    mine.touch()
    calls = checkout.run("setup")
    assert "include-system-site-packages = true" in config.read_text()
    assert mine.exists()
    assert not any("-m venv" in call for call in calls)


def test_a_python_that_is_too_new_is_one_line(checkout: Checkout) -> None:
    checkout.run("setup", code=1, WRONG_VERSION="1")
    assert "Python 3.10-3.12" in checkout.said
    assert (checkout.bin / "python").exists()


def test_no_environment_and_no_python(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    shutil.rmtree(checkout.folder / ".venv")
    checkout.run("setup", code=1, FACEWIRE_PYTHON="/nowhere/python")
    assert "name one with FACEWIRE_PYTHON" in checkout.said.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["install"], ["install", "camera"], ["install", "encoder", "fast"]])
def test_install_asks_for_what_it_knows(checkout: Checkout, arguments: list[str]) -> None:
    checkout.run(*arguments, code=1)
    assert checkout.said.startswith("facewire.sh: ")
    assert checkout.said.count("\n") == 1


def test_help(checkout: Checkout) -> None:
    done = subprocess.run([str(ROOT / "facewire.sh")], capture_output=True, text=True, timeout=30, check=True)
    assert "./facewire.sh demo" in done.stdout
    assert "set -euo" not in done.stdout
    assert not (checkout.folder / "calls").exists()


def test_ci_runs_what_the_readme_says() -> None:
    assert "./facewire.sh test" in (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_locks_name_exact_versions_and_no_index() -> None:
    for path in ROOT.glob("requirements*.lock"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all("==" in line.split(";")[0] for line in lines), path.name
        assert "http" not in path.read_text()
        assert "--" not in "".join(lines)


def test_runtime_lock_holds_what_the_package_needs() -> None:
    project = _toml((ROOT / "pyproject.toml").read_text())["project"]
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    wanted = project["dependencies"] + project["optional-dependencies"]["encoder"]
    names = {line.split(";")[0].split("=")[0].split(">")[0].split("<")[0].strip() for line in wanted}
    assert names <= locked
    assert "torch" not in locked
