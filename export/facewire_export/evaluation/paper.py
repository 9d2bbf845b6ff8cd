"""The tables of the paper whose method this is: Agarwal, Mukhopadhyay, Namboodiri, Jawahar, "Compressing Video Calls
using Synthetic Talking Heads", BMVC 2022 (arXiv 2210.03692), on our clips.

The paper's text could not be had; the figures of it here are those that this project's bars were set by.
"""

from __future__ import annotations

from collections.abc import Mapping

from facewire_export.evaluation.aggregate import Results
from facewire_export.evaluation.points import MAIN
from facewire_export.evaluation.tables import RATE_HEADS, Table, metric_heads, rates, scores_of

THEIRS: Mapping[str, tuple[str, str, str]] = {
    "bgan-keypoints": ("-", "-", "-"),
    "bgan-interpolation": ("-", "24.2", "0.78"),
    "bgan-bare": ("0.0012", "26.7", "0.81"),
    MAIN: ("-", "-", "-"),
}
"""Bits per pixel, PSNR in dB and SSIM of the paper's Table 1, as far as they are known."""
SOURCE = (
    "paper: figures of Agarwal et al. as this project's issues quote them, on VoxCeleb, whose heads move less than our "
    "clips'; its bits per pixel are the bare keypoints, ours are all that is sent, pivots and framing included. Its "
    "other figures were not at hand."
)


def _ablation(
    results: Results,
    title: str,
    names: Mapping[str, str],
    note: str = "",
    theirs: Mapping[str, tuple[str, ...]] | None = None,
) -> Table | None:
    found = [(results.rows[name], label) for name, label in names.items() if name in results.rows]
    if not found:
        return None
    beside = theirs or {}
    rows = tuple((label, *rates(row), *scores_of(row), *beside.get(row.name, ())) for row, label in found)
    more = ("paper: bpp", "paper: PSNR", "paper: SSIM") if theirs else ()
    return Table(title, ("", *RATE_HEADS, *metric_heads(), *more), rows, note)


def paper_tables(results: Results) -> list[Table]:
    """Tables 1 to 4 of Agarwal et al., BMVC 2022, on these clips; the paper's own figures where they are known."""
    tables = [
        _ablation(
            results,
            "Table 1: what each part brings",
            {
                "bgan-keypoints": "keypoints only",
                "bgan-interpolation": "+ interpolation",
                "bgan-bare": "+ super-resolution",
                MAIN: "+ deformations",
            },
            "Without super-resolution the picture is enlarged bicubically. Interpolation halves the keypoint frames. "
            "Deformations are ours; pivots pay for their bytes. "
            f"{SOURCE}",
            THEIRS,
        ),
        _ablation(
            results,
            "Table 2: interpolated frames between two keypoint frames",
            {"bgan-skip0": "0", "bgan-bare": "1", "bgan-skip2": "2", "bgan-skip3": "3"},
            "Without deformations, as in the paper.",
        ),
        _ablation(
            results,
            "Table 3: side of the super-resolution's window",
            {
                "bgan-bicubic": "bicubic",
                **{f"bgan-patch{side}": str(side) for side in (16, 32, 64, 128)},
                MAIN: "136",
            },
            "One network, trained at 136, run on windows of other sides in fp32 (136 as shipped: INT8 on a CPU); the "
            "paper trains one for each.",
        ),
        _ablation(
            results,
            "Table 4: head turn that asks for a new pivot",
            {"lan-turn0": "never", "lan": "15°", "lan-turn5": "5°"},
            "On `lan`, live: that link holds no pivot back. The background's threshold moves along (0.05 at 15°).",
        ),
    ]
    return [table for table in tables if table is not None]
