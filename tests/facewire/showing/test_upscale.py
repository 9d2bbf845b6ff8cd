from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.errors import ConfigError, ModelError
from facewire.networks import load_network
from facewire.showing.patches import BLOCK
from facewire.showing.planes import resized, to_picture, to_planes
from facewire.showing.upscale import Upscaler


class Same:
    """A network that gives back what it gets, and remembers how often it ran."""

    def __init__(self, side: int, batch: int | None = None) -> None:
        self.inputs: Mapping[str, tuple[int | None, ...]] = {"patch": (batch, 3, side, side)}
        self.outputs: Mapping[str, tuple[int | None, ...]] = {"sharp": (batch, 3, side, side)}
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        self.shapes.append(inputs["patch"].shape)
        return {"sharp": inputs["patch"].copy()}


def portrait(size: int = 256) -> NDArray[np.uint8]:
    y, x = np.mgrid[:size, :size] / size
    picture = np.stack([x, y, (np.sin(9 * x) * np.cos(7 * y) + 1) / 2], axis=2) * 255
    return np.asarray(picture, np.uint8)


def test_planes_and_back_is_exact() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    assert np.array_equal(to_picture(to_planes(picture)), picture)
    assert to_planes(picture).max() <= 1.0


def test_overshoot_is_clipped() -> None:
    planes = np.array([-0.3, 1.4, 0.5], np.float32).reshape(1, 3, 1, 1)
    assert to_picture(planes).tolist() == [[[0, 255, 128]]]


@pytest.mark.parametrize("size", [64, 256, 257, 300, 512, 600])
@pytest.mark.parametrize("side", [64, 128, 320])
def test_any_size_comes_out_as_bicubic_when_the_network_changes_nothing(size: int, side: int) -> None:
    planes = to_planes(portrait())
    network = Same(side)
    shown = Upscaler(network, size).show(planes)
    assert shown.shape == (size, size, 3)
    assert shown.dtype == np.uint8
    difference = np.abs(shown.astype(int) - to_picture(resized(planes, size)))
    assert difference.max() <= 1
    assert bool(network.shapes) == (size > 256)


class Tiled(Same):
    """A network that adds something else to each pixel of a block, the same in all blocks."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        tiles = self.inputs["patch"][-1] // BLOCK  # type: ignore[operator]
        return {"sharp": np.asarray(inputs["patch"] + np.tile(TILE, (tiles, tiles)), np.float32)}


TILE = np.linspace(0, 0.25, BLOCK * BLOCK, dtype=np.float32).reshape(BLOCK, BLOCK)


@pytest.mark.parametrize("side", [64, 136, 272])
def test_blocks_of_the_network_are_those_of_the_picture(side: int) -> None:
    grey = np.full((1, 3, 256, 256), 0.5, np.float32)
    shown = Upscaler(Tiled(side), 512).show(grey)
    expected = to_picture(0.5 + np.tile(TILE, (128, 128))[None, None].repeat(3, 1))
    assert np.abs(shown.astype(int) - expected).max() <= 1


class Finisher:
    """All of it in one network, as on a GPU: a white picture."""

    inputs: Mapping[str, tuple[int | None, ...]] = {"picture": (None, 3, 256, 256)}
    outputs: Mapping[str, tuple[int | None, ...]] = {"shown": (None, 512, 512, 3)}

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        assert inputs["picture"].shape == (1, 3, 256, 256)
        return {"shown": np.full((1, 512, 512, 3), 255, np.uint8)}


@pytest.mark.parametrize("size", [300, 512, 1080])
def test_the_network_sees_pictures_as_it_was_taught_whatever_is_shown(size: int) -> None:
    network = Same(136)
    assert Upscaler(network, size).show(to_planes(portrait())).shape == (size, size, 3)
    assert len(network.shapes) == 16
    finished = Upscaler(network, size, Finisher()).show(to_planes(portrait()))
    assert (finished.shape, finished.min()) == ((size, size, 3), 255)
    assert len(network.shapes) == 16


def test_fixed_batch_is_always_filled() -> None:
    network = Same(64, batch=4)
    Upscaler(network, 512).show(to_planes(portrait()))
    assert set(network.shapes) == {(4, 3, 64, 64)}


def test_no_seams_where_patches_meet(tiny_models: Path) -> None:
    # The tiny network blurs with zero padding: a lone patch is 1/3 darker along its rim and 5/9 in its corner.
    upscaler = Upscaler(load_network("upscaler", tiny_models), 512)
    grey = np.full((1, 3, 256, 256), 0.6, np.float32)
    inner = upscaler.show(grey)[4:-4, 4:-4].astype(int)
    assert np.abs(inner - 153).max() <= 6
    assert upscaler.patches == 81


def test_without_a_network_it_only_resizes() -> None:
    planes = to_planes(portrait())
    assert np.array_equal(Upscaler(None, 400).show(planes), to_picture(resized(planes, 400)))
    assert np.array_equal(Upscaler(None, 256).show(planes), portrait())


@pytest.mark.parametrize("size", [0, 63, 2161])
def test_sizes_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match="64 to 2160"):
        Upscaler(None, size)


def test_a_network_of_another_kind_is_refused() -> None:
    network = Same(64)
    for shape in ((None, 3, 64, 48), (None, 3, 544, 544), (None, 1, 64, 64)):
        network.inputs = {"patch": shape}
        with pytest.raises(ModelError, match="square patches of 3 colours, 512 at most"):
            Upscaler(network, 512)
