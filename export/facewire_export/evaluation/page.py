"""OUT/page.html: the tables, the plots, and players side by side that run together. Opens from disk; it names the
videos that `evaluate` wrote beside it (faces of real people: the page stays in the folder of the run)."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path

from facewire_export.evaluation.aggregate import Results
from facewire_export.evaluation.points import MAIN, Codec, Ours
from facewire_export.evaluation.records import REAL
from facewire_export.evaluation.tables import Table, cell
from facewire_export.evaluation.work import player_path

PAGE = "page.html"

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1500px; padding: 0 1em }
body { color: #1b1b1f; background: #fafaf8 } table { border-collapse: collapse; margin: .6em 0 }
th, td { padding: .15em .6em; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left } .wide { overflow-x: auto } .note { color: #555; max-width: 90ch }
.players { display: flex; flex-wrap: wrap; gap: 12px } .player { width: 340px }
.player video { width: 100%; background: #222 }
.player select { width: 100% } .said { font-size: 12px; color: #444; min-height: 2.6em } img { max-width: 100% }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(560px, 1fr)); gap: 10px }
.lost { color: #b00020 } .won { color: #0a6b2d }
"""

_SCRIPT = """
const clips = JSON.parse(document.getElementById('data').textContent);
const pick = document.getElementById('clip'), row = document.querySelector('.players'), shown = [];
for (const name of Object.keys(clips)) pick.add(new Option(name, name));
function fill(player) {
  const entry = clips[pick.value].find(e => e.name === player.select.value);
  if (!entry) return;
  player.video.src = entry.src;
  player.said.textContent = entry.said;
}
function clip() {
  shown.forEach((player, i) => {
    const before = player.select.value || player.first;
    player.select.replaceChildren(...clips[pick.value].map(e => new Option(e.title, e.name)));
    player.select.value = before;
    if (!player.select.value) player.select.selectedIndex = Math.min(i, player.select.length - 1);
    fill(player);
  });
}
for (const first of JSON.parse(document.getElementById('first').textContent)) {
  const box = document.createElement('div'); box.className = 'player';
  const player = { first, select: document.createElement('select'), video: document.createElement('video'),
                   said: document.createElement('div') };
  player.video.muted = player.video.loop = player.video.playsInline = true;
  player.said.className = 'said';
  player.select.onchange = () => { fill(player); play(); };
  box.append(player.select, player.video, player.said); row.append(box); shown.push(player);
}
function all(act) { shown.forEach(p => act(p.video)); }
function play() { all(v => { v.currentTime = 0; v.play(); }); }
function pause() { all(v => v.pause()); }
function step(by) { pause(); const t = Math.max(0, shown[0].video.currentTime + by); all(v => v.currentTime = t); }
pick.onchange = () => { clip(); play(); };
setInterval(() => { const t = shown[0].video.currentTime;
  if (!shown[0].video.paused) all(v => { if (Math.abs(v.currentTime - t) > 0.08) v.currentTime = t; }); }, 500);
clip();
"""


def write_page(results: Results, tables: Sequence[Table], plots: Sequence[Path], out: Path, summary: str) -> Path:
    """Write the page; returns its path. summary: a paragraph above everything."""
    clips = {clip: found for clip in results.clips if (found := _players(results, clip, out))}
    names = {entry["name"] for found in clips.values() for entry in found}
    first = [name for name in _first(results) if name in names]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Facewire: rate and quality</title>",
        f"<style>{_STYLE}</style><h1>Facewire: rate and quality</h1><p class=note>{html.escape(summary)}</p>",
    ]
    if clips:
        parts.append(
            "<h2>Side by side</h2><p>clip <select id=clip></select> "
            "<button onclick=play()>play from the start</button> "
            "<button onclick=pause()>pause</button> <button onclick=step(-0.04)>a frame back</button> "
            "<button onclick=step(0.04)>a frame on</button></p><div class=players></div>"
            f"<script type=application/json id=data>{_data(clips)}</script>"
            f"<script type=application/json id=first>{_data(first)}</script><script>{_SCRIPT}</script>"
        )
    parts += [_table(table) for table in tables]
    images = "".join(f'<img src="{html.escape(str(path.relative_to(out)))}" alt="{path.stem}">' for path in plots)
    parts.append(f"<h2>Plots</h2><div class=plots>{images}</div></html>")
    path = out / PAGE
    path.write_text("\n".join(parts) + "\n", "utf-8")
    return path


def _data(value: object) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(value).replace("<", "\\u003c")


def _first(results: Results) -> list[str]:
    """The players that the page begins with: the source, ours, and codecs near our rate."""
    main = results.rows.get(MAIN)
    rate = 0.0 if main is None else main.all_in or 0.0
    near = sorted(results.codecs(), key=lambda row: abs((row.all_in or 0.0) - rate))
    return [REAL, MAIN, *[row.name for row in near if isinstance(row.point, Codec) and row.point.player][:2]]


def _players(results: Results, clip: str, out: Path) -> list[dict[str, str]]:
    found = []
    if player_path(out, REAL, clip).is_file():
        found.append({"name": REAL, "title": "source", "said": "as it was recorded"})
    for row in results.rows.values():
        record = results.records[row.name].get(clip)
        if record is None or not player_path(out, row.name, clip).is_file():
            continue
        title = row.point.title.replace("`", "") if isinstance(row.point, Ours) else row.point.title
        scores = record["scores"]
        said = (
            f"{cell(record['kbps']['all_in'], 1)} kbit/s all-in ({cell(record['kbps']['stream'], 1)} coded), "
            f"PSNR {cell(scores['psnr'], 1)}, LPIPS {cell(scores['lpips'], 3)}, "
            f"identity {cell(scores['identity'], 2)}, mouth {cell(scores['mouth'], 1)}"
        )
        found.append({"name": row.name, "title": title, "said": said})
    return [entry | {"src": player_path(out, entry["name"], clip).relative_to(out).as_posix()} for entry in found]


def _plain(text: str) -> str:
    """A table's text, which is Markdown, as HTML."""
    return html.escape(text.replace("`", ""))


def _table(table: Table) -> str:
    def cells(kind: str, row: Sequence[str]) -> str:
        told = []
        for text in row:
            look = " class=lost" if text.startswith("LOST") else " class=won" if text.startswith("won") else ""
            told.append(f"<{kind}{look}>{_plain(text)}</{kind}>")
        return f"<tr>{''.join(told)}</tr>"

    body = "".join(cells("td", row) for row in table.rows)
    note = f"<p class=note>{html.escape(table.note)}</p>" if table.note else ""
    rows = cells("th", table.head) + body
    return f"<h2>{_plain(table.title)}</h2><div class=wide><table>{rows}</table></div>{note}"
