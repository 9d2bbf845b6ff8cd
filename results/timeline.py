"""When pivots are sent: plots a clip put together from others; writes timeline.json and timeline.png beside itself.

    python results/timeline.py CLIPS [--profile vsat]

The clip: 6 s of one person talking calmly, a cut to somebody who moves a lot (5 s), back to the first (6 s), the light
dimmed for 4 s, then as before for 4 s. It goes through the encoder's steps as the camera device runs them, and through
file mode. Plotted, over time: how unlike the running pivot the frame is guessed to be (likeness.apart), bytes sent, and
where pivots came from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "daemon"))

import av
import cv2

from facewire.coding.encoding import Encoding, open_encoding
from facewire.coding.likeness import apart, look
from facewire.coding.lookahead import open_lookahead
from facewire.coding.pivots import Limits
from facewire.profiles import profile
from facewire.types import Bundle, Epoch, Frame, Message, Picture, PivotSlice
from facewire.wire.packets import pack

CALM, RESTLESS = "72d4120f_00", "bf68a359_00"
FPS = 25.0


def pictures(path: Path, count: int) -> list[Picture]:
    """The first `count` frames at 256x256; a shorter clip runs back and forth."""
    with av.open(str(path)) as container:
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    found = [np.asarray(cv2.resize(p, (256, 256), interpolation=cv2.INTER_AREA), np.uint8) for p in found]
    there_and_back = found + found[-2:0:-1]
    return [there_and_back[at % len(there_and_back)] for at in range(count)]


def scenes(clips: Path) -> Iterator[tuple[str, Picture]]:
    calm, restless = pictures(clips / f"{CALM}.mp4", 600), pictures(clips / f"{RESTLESS}.mp4", 125)
    yield from (("calm", picture) for picture in calm[:150])
    yield from (("cut: another person", picture) for picture in restless)
    yield from (("return", picture) for picture in calm[150:300])
    yield from (("dimmed", (picture * 0.55).astype(np.uint8)) for picture in calm[300:400])
    yield from (("as before", picture) for picture in calm[400:500])


def coded(steps: Any, shown: list[tuple[str, Picture]]) -> tuple[list[tuple[float, Message]], list[float]]:
    """Messages with the time at which they were given out, and guesses of the reconstruction's error."""
    out: list[tuple[float, Message]] = []
    guesses: list[float] = []
    for number, (_, picture) in enumerate(shown):
        out += [(number / FPS, message) for message in steps.push(Frame(picture, number / FPS))]
        if isinstance(steps, Encoding):
            current = next(iter(steps.in_use), None)
            now = look(picture, steps._find(picture)) if number % 6 == 0 and current is not None else None
            known = None if current is None else current.scene.look
            guesses.append(apart(known, now) if known is not None and now is not None else float("nan"))
    out += [(len(shown) / FPS, message) for message in steps.flush()]
    return out, guesses


def events(messages: list[tuple[float, Message]]) -> list[dict[str, Any]]:
    """Epochs in order: when, which pivot, whether its bytes came now."""
    seen: set[bytes] = set()
    out = []
    for _, message in messages:
        if isinstance(message, PivotSlice):
            seen.add(message.pivot_id)
        elif isinstance(message, Epoch):
            old = {event["pivot"] for event in out}
            time, name = round(message.first_frame / FPS, 2), message.pivot_id.hex()
            if not out or out[-1]["time"] != time:
                out.append({"time": time, "pivot": name, "picture_bytes": 0 if name in old else message.pivot_bytes})
    return out


def plot(path: Path, shown: list[tuple[str, Picture]], runs: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(runs) + 1, 1, sharex=True, figsize=(11, 2.4 * (len(runs) + 1)), squeeze=False)
    top = axes[0, 0]
    guesses = next(run["guesses"] for run in runs.values() if run["guesses"])
    places = [at / FPS for at, value in enumerate(guesses) if np.isfinite(value)]
    top.plot(places, [value for value in guesses if np.isfinite(value)], ".-", color="tab:blue")
    top.axhline(Limits().unlike, color="grey", linestyle=":")
    top.set_ylabel("guessed error\n(running pivot)")
    for (name, run), axis in zip(runs.items(), axes[1:, 0], strict=True):
        heights = np.zeros(len(shown) + 1)
        for time, message in run["messages"]:
            heights[min(int(time * FPS), len(shown))] += len(pack(message))
        axis.bar(np.arange(len(heights)) / FPS, heights, width=0.06, color="tab:grey")
        axis.set_yscale("symlog", linthresh=100)
        axis.set_ylabel(f"{name}\nbytes")
        for event in run["events"]:
            new = event["picture_bytes"] > 0
            axis.axvline(event["time"], color="tab:red" if new else "tab:green")
            label = f"pivot {event['pivot'][:4]}" + (f"\n{event['picture_bytes']} B" if new else "\nreused")
            axis.text(event["time"] + 0.05, axis.get_ylim()[1], label, fontsize=7, va="top")
    for axis in axes[:, 0]:
        last = ""
        for number, (scene, _) in enumerate(shown):
            if scene != last:
                axis.axvline(number / FPS, color="black", linewidth=0.5, linestyle="--")
                if axis is top:
                    axis.text(number / FPS, axis.get_ylim()[1], f" {scene}", fontsize=8, va="bottom")
                last = scene
    axes[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--profile", default="vsat")
    options = parser.parse_args()
    link = profile(options.profile)
    shown = list(scenes(options.clips))
    runs: dict[str, Any] = {}
    for name, steps in (
        ("camera", open_encoding(link, fps=FPS)),
        ("file", open_lookahead(link, fps=FPS)),
    ):
        messages, guesses = coded(steps, shown)
        if name == "file":
            time = 0.0
            placed: list[tuple[float, Message]] = []
            for _, message in reversed(messages):
                if isinstance(message, Bundle):
                    time = message.frames[0].number / FPS
                elif isinstance(message, Epoch):
                    time = message.first_frame / FPS
                placed.append((time, message))
            messages = placed[::-1]
        runs[name] = {"messages": messages, "guesses": guesses, "events": events(messages)}
    result = {
        "command": f"python results/timeline.py CLIPS --profile {options.profile}",
        "scenes": [
            {"from": number / FPS, "scene": scene}
            for number, (scene, _) in enumerate(shown)
            if number == 0 or shown[number - 1][0] != scene
        ],
        **{name: run["events"] for name, run in runs.items()},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    plot(Path(__file__).with_suffix(".png"), shown, runs)
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
