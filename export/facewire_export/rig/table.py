"""All results of a directory as one Markdown table, made from the JSON files beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facewire.profiles import PROFILES

_HEAD = """# The link, measured

Made by `facewire-export link` from the JSON files beside it. Rates are all bytes that both interfaces sent, IP headers
included, encryption on; "worst minute" is the highest of all 60 s windows after the first minute, beside the profile's
ceiling. Delay is from the camera's frame to the screen, the link's own one-way delay taken off; drift is its median in
the last third less that in the first. `light`: the decoder's generator was replaced by one that returns the pivot; the
packets are the same.

| scenario | networks | seconds | link | worst minute, kbit/s | delay, p95 | drift | longest freeze | first picture |
|---|---|---|---|---|---|---|---|---|
"""
_EVENTS = """
| scenario | what happened | live again after | picture bytes sent again |
|---|---|---|---|
"""


def write_table(directory: Path) -> None:
    """Writes DIRECTORY/table.md. Files that are no results are left out."""
    rows, events, others = [], [], []
    for path in sorted(directory.glob("*.json")):
        try:
            result: dict[str, Any] = json.loads(path.read_text("utf-8"))
            rows.append(_row(result))
            events += [_event(result, event) for event in result["events"] if event["do"] != "strangers"]
            others += _others(result)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    text = _HEAD + "".join(rows) + (_EVENTS + "".join(events) if events else "") + "".join(others)
    (directory / "table.md").write_text(text, "utf-8")


def _row(result: dict[str, Any]) -> str:
    scenario, figures = result["scenario"], result["figures"]
    rate, seen = figures["rate"], figures["glass_to_glass"]
    loss = f", {100 * scenario['loss']:g} % loss" if scenario["loss"] else ""
    link = f"{scenario['rate']:g} kbit/s, {2000 * scenario['delay']:g} ms there and back{loss}, IPv{scenario['ip']}"
    ceiling = PROFILES[scenario["profile"]].ceiling_kbps
    worst = f"{rate['max_kbps']:.2f}" + ("" if rate["window_s"] >= 60 else f" ({rate['window_s']:.0f} s)")
    cells = (
        scenario["name"], scenario["networks"], f"{scenario['seconds']:.0f}", link, f"{worst} / {ceiling:g}",
        f"{_ms(seen.get('median_without_link_s'))}, {_ms(seen.get('p95_without_link_s'))}",
        _ms(seen.get("last_third_minus_first_s")), f"{figures['longest_freeze_s'] or 0:.2f} s",
        f"{figures['first_picture_s'] or float('nan'):.1f} s",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |\n"


def _event(result: dict[str, Any], event: dict[str, Any]) -> str:
    took = event.get("live_again_s", event.get("first_picture_s"))
    what = f"{event['do']}, {event['seconds']:g} s" if event["seconds"] else str(event["do"])
    after = "not before the next event" if took is None else f"{took:.1f} s"
    return f"| {result['scenario']['name']} | {what} | {after} | {event['picture_bytes_sent_again']} |\n"


def _others(result: dict[str, Any]) -> list[str]:
    """Sentences about strangers and about memory over long runs."""
    figures, name, out = result["figures"], result["scenario"]["name"], []
    if (met := figures.get("strangers")) and "opened" in met:
        out.append(
            f"\n`{name}`: {met['opened']} connections without a key were opened; they were answered with "
            f"{met['bytes_they_got']} bytes (greetings, before any key) and no content. The worst minute's bytes are "
            "theirs.\n"
        )
    if (found := figures.get("books")) is not None and result["scenario"]["seconds"] >= 600:
        out.append(_books(name, found))
    if result["scenario"]["seconds"] >= 600:
        for daemon, memory in figures.get("memory", {}).items():
            grows = _growth(memory, "") + _growth(memory, "own_")
            life = f" of a life of {memory['life_s']} s" if "life_s" in memory else ""
            out.append(f"\n`{name}`, {daemon}: {memory['megabytes_last']:.0f} MB at the end{life}{grows}.\n")
    return out


def _growth(memory: dict[str, Any], whose: str) -> str:
    """What a daemon grows by, as a part of a sentence; older results know no error, and are of a life's second half."""
    slope, error = memory.get(f"{whose}slope_mb_per_hour"), memory.get(f"{whose}slope_error_mb_per_hour")
    if slope is None:
        return ""
    spread, when = ("", "over its second half") if error is None else (f" +- {error:.2f}", "once it is warm")
    return f", {slope:+.2f}{spread} " + ("of its own" if whose else f"MB an hour {when}")


def _books(name: str, found: dict[str, Any]) -> str:
    """Whether the counters add up."""
    classes = "; ".join(
        f"{kind}s {counts.get('sent', 0)} sent = {counts.get('received', 0)} received + {counts.get('lost', 0)} lost"
        for kind, counts in found["classes"].items()
    )
    wrong = sum(found[end].get("readings_wrong", 0) for end in ("encoder", "decoder"))
    readings = sum(found[end].get("readings", 0) for end in ("encoder", "decoder"))
    return (
        f"\n`{name}`, counters: {classes}; lost where no connection ended: {found['lost_without_cause']}; never sent: "
        f"{found['never_sent']}; keypoint frames that the encoder dropped for age: {found['encoder'].get('stale', 0)}; "
        f"books out of balance at {wrong} of {readings} readings.\n"
    )


def _ms(seconds: Any) -> str:
    return "-" if seconds is None else f"{1000 * float(seconds):.0f} ms"
