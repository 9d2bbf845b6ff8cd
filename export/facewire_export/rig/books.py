"""Whether the counters add up: what was sent was received or lost, and what was received has become something. Pure.

sent = received + lost, message by message, by class: each message that an encoder wrote down is looked for among those
that the decoder wrote down. TCP repeats what a link loses, so a message can only be lost where its connection ended:
with a process, with an address, with the run. What was lost without one of these is `lost_without_cause`, and what came
without having been sent is `never_sent`; both must be 0. Inside each daemon the books must balance at each reading.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from facewire_export.rig.measure import Note, Recorded

BEFORE = 15.0
"""Seconds before a connection's end from which on what was sent may not have arrived: a queue of 5 s, a way, and what
the kernel held during an outage."""
AFTER = 5.0
"""Seconds after it in which the sender may not have noticed."""
FATES = ("generated", "faceless", "late", "waiting", "orphans", "foreign", "shed", "inside")
PICTURES = ("shown", "skipped", "dropped", "cleared", "ahead")
CLOCKS = 0.1
"""Seconds by which a daemon may write down late what it did."""
AT_WORK = 16
"""Keypoint frames of the bundle that a thread works on while the books are read: the longest of any profile."""


def balance(taken: Recorded, screen: Recorded, ends: Sequence[float]) -> dict[str, Any]:
    """The check for the decoder whose trace `screen` is. ends: when connections ended."""
    devices = {note.device for note in screen.got}
    sent = [note for note in taken.sent if note.device in devices]
    missing, never = _unmatched(sent, screen.got)
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for what, notes in (("sent", sent), ("received", screen.got), ("lost", missing)):
        for note in notes:
            classes[note.kind][what] += 1
            classes[note.kind][f"{what}_{'bytes' if note.kind == 'slice' else 'frames'}"] += note.count
    unexplained = [note for note in missing if not any(-AFTER <= end - note.at <= BEFORE for end in ends)]
    return {
        "classes": {kind: dict(sorted(counts.items())) for kind, counts in sorted(classes.items())},
        "lost_without_cause": len(unexplained),
        "lost_without_cause_at": [[round(note.at, 1), note.kind, note.name] for note in unexplained[:20]],
        "never_sent": len(never),
        "encoder": _encoder_books(taken.books),
        "decoder": _decoder_books(screen.books),
    }


def _unmatched(sent: Sequence[Note], got: Sequence[Note]) -> tuple[list[Note], list[Note]]:
    """What was sent and did not come, and what came without having been sent.

    A repeated announcement is like the one before. From the last that came to the first, each is the last sent before
    it that is not taken: messages of a connection come in order, and are lost at its end.
    """
    waiting: dict[object, list[Note]] = defaultdict(list)
    for note in sorted(sent, key=lambda note: note.at):
        waiting[note.identity].append(note)
    lost: list[Note] = []
    never: list[Note] = []
    for note in sorted(got, key=lambda note: note.at, reverse=True):
        before = waiting[note.identity]
        place = bisect_right(before, note.at + CLOCKS, key=lambda one: one.at) - 1
        if place < 0:
            never.append(note)
            continue
        del before[place]
    for notes in waiting.values():
        lost += notes
    return sorted(lost, key=lambda note: note.at), never


def _encoder_books(books: Sequence[tuple[float, dict[str, int]]]) -> dict[str, int]:
    """Sums over all lives, and readings at which the books did not balance to the frame."""
    wrong = sum(b["queued"] != b["sent"] + b["stale"] + b["left"] + b["waiting"] for _, b in books)
    return {**_sums(books, "queued"), "readings": len(books), "readings_wrong": wrong}


def _decoder_books(books: Sequence[tuple[float, dict[str, int]]]) -> dict[str, int]:
    """As above; what a thread works on at a reading is in no column."""
    at_work = [b["received"] - sum(b[name] for name in FATES) for _, b in books]
    ahead = [b["taken"] - sum(b[name] for name in PICTURES) for _, b in books]
    wrong = sum(not 0 <= frames <= AT_WORK for frames in at_work)
    # Two threads move a picture between two columns: one may be seen in both or in neither.
    wrong += sum(abs(pictures) > 1 for pictures in ahead)
    return {**_sums(books, "received"), "readings": len(books), "readings_wrong": wrong}


def _sums(books: Sequence[tuple[float, dict[str, int]]], rising: str) -> dict[str, int]:
    """Each column's last value of each life, added up."""
    total: Counter[str] = Counter()
    counts = [one for _, one in books]
    for one, after in zip_longest(counts, counts[1:]):
        if after is None or after[rising] < one[rising]:
            total.update(one)
    return dict(total)
