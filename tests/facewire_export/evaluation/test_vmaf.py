"""VMAF where a program is missing, fails, or works."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.facewire_export.evaluation.made_up import scene

from facewire_export.evaluation import vmaf
from facewire_export.evaluation.vmaf import Vmaf
from facewire_export.metrics import MetricError


def judged(noise: float) -> float:
    """Three frames of the made-up clip with so much noise on them."""
    random, found = np.random.default_rng(1), Vmaf()
    for number in range(3):
        real = scene(256, number)
        shown = np.clip(real + random.normal(0, noise, real.shape), 0, 255).astype(np.uint8)
        found.add(real, shown)
    return found.result()


def test_without_a_program_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmaf, "program", lambda: "")
    assert math.isnan(judged(0))


def test_without_frames_it_cannot_be_told() -> None:
    assert math.isnan(Vmaf().result())


def test_a_program_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmaf, "program", lambda: "/bin/false")
    with pytest.raises(MetricError, match="libvmaf of false failed"):
        judged(0)


@pytest.mark.skipif(not vmaf.program(), reason=vmaf.HINT)
def test_more_noise_is_worse() -> None:
    perfect, some, much = (judged(noise) for noise in (0, 12, 40))
    assert perfect > 95
    assert perfect > some > much
