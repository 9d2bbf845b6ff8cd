"""The command line: exit codes, one line for each error, nothing heavy imported for help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facewire_export import cli


def test_help_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("train", "onnx", "crop", "evaluate", "bench"))
    assert cli.main([]) == 2
    assert cli.main(["sing"]) == 2
    assert "unknown command 'sing'" in capsys.readouterr().err
    assert cli.main(["crop"]) == 2
    assert cli.main(["crop", "--help"]) == 0


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert cli.main(["crop", missing, str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("facewire-export crop:")
    assert "no such folder" in error
    assert "\n" not in error


def test_unforeseen_errors_show_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "strange.py").write_text(
        "def add_crop_arguments(parser): pass\ndef main(options): raise ValueError('two\\nlines')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(cli.COMMANDS, "crop", cli.Command("strange", ""))
    assert cli.main(["crop"]) == 1
    assert capsys.readouterr().err.strip() == "facewire-export crop: ValueError: two lines (--debug shows where)"
    with pytest.raises(ValueError, match="two"):
        cli.main(["crop", "--debug"])


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needy.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(cli.COMMANDS, "crop", cli.Command("needy", ""))
    assert cli.main(["crop"]) == 1
    assert "needs the Python package a_package_that_nobody_has" in capsys.readouterr().err


def test_help_imports_neither_torch_nor_mediapipe() -> None:
    code = (
        "import sys; sys.path[:0] = ['daemon', 'export']; from facewire_export.cli import main; main(['--help']);"
        "heavy = {'torch', 'mediapipe', 'onnxruntime', 'cv2', 'av'} & set(sys.modules); sys.exit(1 if heavy else 0)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.DEVNULL).returncode == 0
