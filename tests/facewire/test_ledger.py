from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from facewire.ledger import CLOSE_EARLY, CLOSED, DAYS_KEPT, FULL, LEAST_STILL, STILLS, Costs, Ledger

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=timezone.utc).timestamp()
DAY = 86400.0


def test_costs_add_up_by_class_hour_and_day() -> None:
    ledger = Ledger(None)
    ledger.update(NOON, Costs(keypoints=100, overhead=50))
    ledger.update(NOON + 1800, Costs(keypoints=300, overhead=150, pivots=7))
    assert ledger.today == Costs(keypoints=300, overhead=150, pivots=7)
    assert ledger.this_hour == 457
    ledger.update(NOON + 3600, Costs(keypoints=400, overhead=150, pivots=7))
    assert ledger.this_hour == 100
    ledger.update(NOON + DAY, Costs(keypoints=401, overhead=150, pivots=7))
    assert ledger.today == Costs(keypoints=1)
    assert ledger.mode == FULL


def test_accounts_outlive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.json"
    ledger = Ledger(path, 1_000_000)
    ledger.update(NOON, Costs(keypoints=950_000))
    ledger.write()
    again = Ledger(path, 1_000_000)
    again.update(NOON + 60, Costs(keypoints=40_000))
    assert again.today.keypoints == 990_000
    assert again.mode == CLOSED
    # A clock that runs back, or is set back to get round the cap, opens no account anew.
    again.update(NOON - 3 * DAY, Costs(keypoints=40_001))
    assert again.today.keypoints == 990_001
    again.update(NOON + DAY, Costs(keypoints=40_001))
    assert again.mode == FULL


def test_stills_first_and_then_nothing() -> None:
    ledger = Ledger(None, 10_000_000, still_bytes=5000)
    ledger.update(NOON, Costs(keypoints=8_900_000))
    assert ledger.mode == FULL
    ledger.update(NOON, Costs(keypoints=9_000_000))
    assert ledger.mode == STILLS
    rest = 10_000_000 - 9_000_000 - CLOSE_EARLY
    assert ledger.still_interval == pytest.approx(43_200 * 5000 / rest)
    ledger.update(NOON + 43_199, Costs(keypoints=9_000_000))
    assert ledger.still_interval == LEAST_STILL
    ledger.update(NOON + 43_199, Costs(keypoints=9_999_000))
    assert ledger.mode == CLOSED


def test_a_damaged_file_is_an_empty_account(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    for text in ("", "[]", "{", '{"2026-05-04": 5}', '{"2026-05-04": {"x": 1}}', '{"2026-05-04": {"pivots": "a"}}'):
        path.write_text(text)
        ledger = Ledger(path)
        ledger.update(NOON, Costs(pivots=3))
        assert ledger.today == Costs(pivots=3)
    (tmp_path / "file").write_text("")
    blocked = Ledger(tmp_path / "file" / "ledger.json")
    blocked.update(NOON, Costs(pivots=3))
    assert blocked.today == Costs(pivots=3)


def test_the_file_is_bounded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    for day in range(200):
        ledger.update(NOON + day * DAY, Costs(pivots=day))
    ledger.write()
    assert (tmp_path / "ledger.json").read_text().count("20") <= 2 * DAYS_KEPT
