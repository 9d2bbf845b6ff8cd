"""The rig's check that counters add up: it holds where all is well, and names what is not."""

from __future__ import annotations

from typing import Any

import pytest

from facewire_export.rig.books import balance
from facewire_export.rig.measure import Note, Recorded


def note(at: float, name: int, kind: str = "bundle", of: int | str = 7) -> Note:
    return Note(at, kind, of, name, 2, "aa")


def books(received: int, **others: int) -> dict[str, int]:
    names = ("generated", "faceless", "late", "waiting", "orphans", "foreign", "shed", "inside")
    pictures = ("taken", "shown", "skipped", "dropped", "cleared", "ahead")
    return {**dict.fromkeys([*names, *pictures], 0), "received": received, **others}


def queued(count: int, **others: int) -> dict[str, int]:
    return {**dict.fromkeys(("sent", "stale", "left", "waiting"), 0), "queued": count, **others}


@pytest.fixture
def run() -> tuple[Recorded, Recorded]:
    sent = [note(float(n), n) for n in range(20)] + [note(3.5, 0, "slice", "ab")]
    got = [note(n.at + 0.5, n.name, n.kind, n.of) for n in sent]
    return Recorded(sent=sent), Recorded(got=got)


def found(run: tuple[Recorded, Recorded], ends: list[float]) -> dict[str, Any]:
    return balance(*run, ends)


def test_all_that_was_sent_was_received(run: tuple[Recorded, Recorded]) -> None:
    out = found(run, [])
    assert (out["lost_without_cause"], out["never_sent"]) == (0, 0)
    counts = out["classes"]["bundle"]
    assert counts["sent"] == counts["received"] == 20
    assert counts["sent_frames"] == 40
    assert out["classes"]["slice"]["received_bytes"] == 2


def test_what_is_lost_needs_a_cause(run: tuple[Recorded, Recorded]) -> None:
    del run[1].got[10:12]
    assert found(run, [11.2])["lost_without_cause"] == 0
    assert found(run, [11.2])["classes"]["bundle"]["lost"] == 2
    assert found(run, [])["lost_without_cause"] == 2
    assert found(run, [40.0])["lost_without_cause"] == 2


def test_what_came_must_have_been_sent_and_as_often(run: tuple[Recorded, Recorded]) -> None:
    run[1].got.append(note(30.0, 3))
    assert found(run, [])["never_sent"] == 1
    run[0].sent.append(note(29.0, 3))
    assert found(run, [])["never_sent"] == 0


def test_repeated_announcements_are_told_apart_by_time(run: tuple[Recorded, Recorded]) -> None:
    run[0].sent += [note(at, 9, "epoch") for at in (5.0, 15.0, 25.0)]
    run[1].got += [note(at, 9, "epoch") for at in (15.5, 25.5)]
    assert found(run, [6.0])["lost_without_cause"] == 0
    assert found(run, [26.0])["lost_without_cause_at"] == [[5.0, "epoch", 9]]
    # Held up by an outage, all come at once.
    run[1].got[-2:] = [note(30.0 + n, 9, "epoch") for n in range(3)]
    assert found(run, []) | {"classes": 0} == found(run, [26.0]) | {"classes": 0}
    assert (found(run, [])["lost_without_cause"], found(run, [])["never_sent"]) == (0, 0)


def test_other_devices_are_not_looked_at(run: tuple[Recorded, Recorded]) -> None:
    run[0].sent.append(Note(1.0, "bundle", 7, 99, 2, "bb"))
    assert found(run, [])["lost_without_cause"] == 0


def test_books_balance_at_each_reading_and_are_summed_over_lives(run: tuple[Recorded, Recorded]) -> None:
    run[0].books = [(1.0, queued(10, sent=8, waiting=2)), (2.0, queued(20, sent=17, stale=3)), (9.0, queued(4, left=4))]
    run[1].books = [(1.0, books(10, generated=9, inside=1)), (2.0, books(5, generated=2, late=1, shed=2))]
    out = found(run, [])
    assert (out["encoder"]["queued"], out["encoder"]["sent"], out["encoder"]["left"]) == (24, 17, 4)
    assert (out["decoder"]["received"], out["decoder"]["generated"]) == (15, 11)
    assert out["encoder"]["readings_wrong"] == out["decoder"]["readings_wrong"] == 0


@pytest.mark.parametrize(
    ("encoder", "decoder", "wrong"),
    [
        (queued(10, sent=9), books(0), (1, 0)),
        (queued(0), books(10, generated=11), (0, 1)),
        (queued(0), books(40, generated=20), (0, 1)),
        (queued(0), books(0, taken=5, shown=3), (0, 1)),
    ],
)
def test_books_that_do_not_balance_are_counted(
    run: tuple[Recorded, Recorded], encoder: dict[str, int], decoder: dict[str, int], wrong: tuple[int, int]
) -> None:
    run[0].books, run[1].books = [(1.0, encoder)], [(1.0, decoder)]
    out = found(run, [])
    assert (out["encoder"]["readings_wrong"], out["decoder"]["readings_wrong"]) == wrong
