"""The README's example runs as it stands, and its words are the commands that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from facewire.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_example_shows_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe", reason="needs facewire[encoder]")
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    code = found.group(1)
    assert sum(1 for line in code.splitlines() if line and not line.startswith(("from", "import"))) <= 10
    exec(compile(code, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    numbers = [int(line.split()[0]) for line in lines]
    assert len(lines) > 10
    assert numbers == sorted(set(numbers))
    assert all(line.endswith("(512, 512, 3)") for line in lines)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "./facewire.sh test" in README
    assert "./facewire.sh test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("word", sorted(set(re.findall(r"^    facewire ([a-z]+)", README, re.MULTILINE))))
def test_commands_in_the_readme_exist(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([word, "--help"])
    assert stopped.value.code == 0
    assert word in capsys.readouterr().out


def test_files_named_in_the_readme_exist() -> None:
    named = re.findall(r"`((?:daemon|export|configs|systemd|results|docs|models_onnx)/[\w/.\-]*)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_two_commands_are_one_script() -> None:
    done = subprocess.run(["bash", "-n", str(ROOT / "facewire.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
