"""What TCP lacks is said in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.link import kernel


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has every option."""
    monkeypatch.setattr(kernel, "_may", lambda *_: True)


def settings(root: Path, **values: int) -> Path:
    """A machine with these settings."""
    place = root / "proc/sys/net/ipv4"
    place.mkdir(parents=True)
    for name, value in values.items():
        (place / name).write_text(f"{value}\n")
    return root


@pytest.mark.usefixtures("able")
def test_an_installed_machine_lacks_nothing(tmp_path: Path) -> None:
    installed = settings(tmp_path, tcp_timestamps=0, tcp_fastopen=3, tcp_early_retrans=0)
    assert not [*kernel.shortcomings(installed, sends=True)]


@pytest.mark.usefixtures("able")
def test_what_is_not_shown_is_not_missed(tmp_path: Path) -> None:
    assert not [*kernel.shortcomings(tmp_path, sends=False)]


@pytest.mark.usefixtures("able")
@pytest.mark.parametrize(("fast", "sends", "missed"), [(1, False, 0), (1, True, 1), (2, True, 0), (0, False, 1)])
def test_fast_open_by_role(tmp_path: Path, fast: int, sends: bool, missed: int) -> None:
    found = [*kernel.shortcomings(settings(tmp_path, tcp_timestamps=0, tcp_fastopen=fast), sends=sends)]
    assert len(found) == missed
    assert all("round trip" in line for line in found)


def test_an_old_kernel_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_may", lambda *_: False)
    as_it_comes = settings(tmp_path, tcp_timestamps=1, tcp_fastopen=1, tcp_early_retrans=3)
    found = [*kernel.shortcomings(as_it_comes, sends=True)]
    assert len(found) == 5
    words = ("24 bytes", "probes", "Fast Open", "BBR", "6.15")
    assert all(word in line for word, line in zip(words, found, strict=True))
    assert len([*kernel.shortcomings(tmp_path, sends=False)]) == 2
