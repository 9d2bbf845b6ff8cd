"""The networks' geometry and what they answer before any training."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from facewire.wire.mouth import Place, stretch  # noqa: E402
from facewire_export.networks.blocks import (  # noqa: E402
    enlarged_blocks,
    identity_grid,
    sample,
    to_blocks,
    upsample,
)
from facewire_export.networks.generator import Generator, Layers, PivotEncoder, evened, steadied, stretched  # noqa: E402
from facewire_export.networks.interpolator import Interpolator  # noqa: E402
from facewire_export.networks.keypoints import KeypointDetector, centres  # noqa: E402
from facewire_export.networks.motion import STEEPEST, candidate_warps, similarity_warp, unfolded  # noqa: E402
from facewire_export.networks.restorer import Restorer  # noqa: E402
from facewire_export.networks.tiers import KEYPOINTS, MOTION_SIZE, TIERS  # noqa: E402
from facewire_export.networks.upscaler import PATCH, Upscaler  # noqa: E402

COMPACT = TIERS["compact"]


def some_points(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    points: Tensor = torch.rand(1, KEYPOINTS, 2, generator=generator) * 1.2 - 0.6
    return points


def turned(points: Tensor, angle: float, scale: float, shift: tuple[float, float]) -> Tensor:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    x, y = points.unbind(-1)
    found: Tensor = torch.stack([c * x - s * y + shift[0], s * x + c * y + shift[1]], -1)
    return found


def test_a_similarity_of_the_keypoints_is_found_exactly_everywhere() -> None:
    driving = some_points()
    pivot = turned(driving, 0.3, 1.2, (0.1, -0.2))
    places = identity_grid(8, 8, driving).flatten(2).transpose(1, 2)
    for weights in (torch.ones(1, 64, KEYPOINTS), torch.rand(1, 64, KEYPOINTS) + 0.1):
        found = similarity_warp(weights, pivot, driving, places)
        assert torch.allclose(found, turned(places, 0.3, 1.2, (0.1, -0.2)), atol=0.02)


def test_keypoints_at_rest_move_nothing() -> None:
    points = some_points()
    assert candidate_warps(points, points).abs().max() < 1e-5


def looked_up(displacement: Tensor) -> Tensor:
    """Columns and rows of the pivot that each place looks up, in places: [2, 64, 64]."""
    return ((identity_grid(MOTION_SIZE, MOTION_SIZE, displacement) + displacement) * (MOTION_SIZE / 2))[0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_what_moved_and_what_stood_still_do_not_fold_where_they_meet(sign: float, axis: int) -> None:
    """A head of half the picture's width moved by 8 places; in its face, what folds is left alone."""
    head = torch.zeros(1, 2, MOTION_SIZE, MOTION_SIZE)
    head[:, axis, 16:48, 16:48] = sign * 16 / MOTION_SIZE
    points = torch.full((1, KEYPOINTS, 2), -0.9)
    found = unfolded(head, points)
    assert torch.equal(found[:, 1 - axis], head[:, 1 - axis])
    assert torch.equal(found[:, :, 16:48, 16:48], head[:, :, 16:48, 16:48])
    steps = looked_up(found)[axis].diff(dim=1 - axis)
    assert looked_up(head)[axis].diff(dim=1 - axis).min() < -6
    assert steps.min() == pytest.approx(1 - STEEPEST, abs=1e-4)
    edge = torch.tensor([[sign * 0.5, 0.0] if axis == 0 else [0.0, sign * 0.5]]).expand(1, KEYPOINTS, 2)
    kept = unfolded(head, edge)
    assert torch.equal(kept[:, :, 28:36, 28:36], head[:, :, 28:36, 28:36])
    assert looked_up(kept)[axis].diff(dim=1 - axis).min() < -6


def test_a_smooth_movement_is_left_as_it_is() -> None:
    smooth = 0.1 * torch.sin(3 * identity_grid(MOTION_SIZE, MOTION_SIZE, torch.zeros(1)))
    assert torch.equal(unfolded(smooth, some_points()), smooth)


def test_a_comb_is_evened_and_a_slope_and_details_stay() -> None:
    x, y = torch.split(identity_grid(32, 32, torch.zeros(1)), 1, 1)
    slope = 0.3 * x + 0.2 * y
    detail = torch.zeros_like(slope)
    detail[..., 15, 15] = 1.0
    comb = torch.zeros_like(slope)
    comb[..., ::2, 1::2] = 0.1
    inside = (..., slice(6, -6), slice(6, -6))

    def through(picture: Tensor, mask: float = -9.0) -> Tensor:
        """As colours where all is painted, or where all shines through."""
        layers = torch.cat([picture.expand(-1, 3, -1, -1), torch.full_like(picture, mask)], 1)
        return F.pixel_shuffle(evened(to_blocks(layers, 2)), 2)[:, :1][inside]

    assert torch.allclose(through(slope), slope[inside], atol=1e-5)
    assert through(comb).std() < 1e-5
    assert through(detail).max() > 0.9
    assert torch.allclose(through(comb, 9.0), comb[inside], atol=1e-3)


def test_blocks_are_those_of_a_pixel_shuffle() -> None:
    picture = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    assert torch.equal(to_blocks(picture, 4), F.pixel_unshuffle(picture, 4))
    enlarged = F.pixel_shuffle(enlarged_blocks(picture).flatten(1, 2), 2)
    assert torch.allclose(enlarged, upsample(picture), atol=1e-6)


def test_the_bent_warp_takes_each_keypoint_to_where_it_lies_in_the_pivot() -> None:
    driving = some_points(1)
    pivot = driving + 0.1 * torch.randn(driving.shape, generator=torch.Generator().manual_seed(2))
    warps = candidate_warps(pivot, driving)
    grid = driving[:, None]
    moved = torch.nn.functional.grid_sample(warps[:, 3], grid, align_corners=False)[:, :, 0].transpose(1, 2)
    bent = (driving + moved - pivot).norm(dim=-1).mean()
    rigid = torch.nn.functional.grid_sample(warps[:, 1], grid, align_corners=False)[:, :, 0].transpose(1, 2)
    assert bent < 0.5 * (driving + rigid - pivot).norm(dim=-1).mean()


def test_sampling_outside_repeats_the_border() -> None:
    picture = torch.rand(1, 3, 8, 8)
    far = identity_grid(4, 4, picture) * 5
    border = torch.nn.functional.grid_sample(
        picture, far.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    assert torch.allclose(sample(picture, far), border, atol=1e-5)


def test_sampling_at_pixel_centres_changes_nothing() -> None:
    picture = torch.rand(1, 3, 16, 16)
    assert torch.allclose(sample(picture, identity_grid(16, 16, picture)), picture, atol=1e-5)


def test_geometry_stays_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert candidate_warps(some_points(), some_points(1)).dtype == torch.float32
        assert centres(torch.rand(1, KEYPOINTS, 32, 32)).dtype == torch.float32


def test_a_lone_peak_is_found_where_it_is() -> None:
    heat = torch.zeros(1, KEYPOINTS, 32, 32)
    heat[:, :, 8, 24] = 50
    x, y = centres(heat)[0, 0] / 1.1
    assert abs(x - (2 * 24.5 / 32 - 1)) < 1e-3
    assert abs(y - (2 * 8.5 / 32 - 1)) < 1e-3


@pytest.mark.parametrize("name", sorted(TIERS))
def test_every_tier_answers_in_the_agreed_shapes(name: str) -> None:
    tier = TIERS[name]
    picture = torch.rand(1, 3, 256, 256)
    points = KeypointDetector(tier).eval()(picture[:, :, :128, :128])
    assert points.shape == (1, KEYPOINTS, 2)
    features = PivotEncoder(tier)(picture)
    shown, layers, warped = Generator(tier).eval()(picture, features, points, points)
    assert shown.shape == picture.shape
    assert torch.allclose(shown, warped.picture * layers.keep + layers.paint)
    assert warped.displacement.shape == (1, 2, 2 * MOTION_SIZE, 2 * MOTION_SIZE)


def test_untrained_upscaler_and_restorer_do_no_harm() -> None:
    patch = torch.rand(2, 3, PATCH, PATCH)
    assert torch.equal(Upscaler(COMPACT)(patch), patch)
    pivot = torch.rand(1, 3, 64, 64)
    assert torch.equal(Restorer(COMPACT)(pivot), pivot)


def test_an_interpolated_frame_lies_between_and_meets_both_ends() -> None:
    pivot = F.interpolate(torch.rand(1, 3, 16, 16), [256, 256], mode="bicubic")

    def layers(move: float) -> Layers:
        displacement = torch.zeros(1, 2, MOTION_SIZE, MOTION_SIZE)
        displacement[:, 0] = move
        return Layers(displacement, torch.ones(1, 1, 256, 256), torch.full((1, 3, 256, 256), move))

    def shown(share: float) -> Tensor:
        made: Tensor = Interpolator()(pivot, layers(0.0), layers(0.25), torch.tensor([share]), torch.zeros(1, 9))
        return made

    assert torch.allclose(shown(0.0), pivot, atol=1e-5)
    for share, pixels in ((0.5, 16), (1.0, 32)):
        inside = slice(0, 256 - 32)
        moved = pivot.roll(-pixels, 3) + 0.25 * share
        assert torch.allclose(shown(share)[..., inside], moved[..., inside], atol=1e-4)


def test_an_interpolated_frames_lips_are_stretched_on_top() -> None:
    pivot = F.interpolate(torch.rand(1, 3, 64, 64), [256, 256], mode="bicubic")
    some = torch.randn(2, 1, 2, MOTION_SIZE, MOTION_SIZE) * 0.02
    part = torch.tensor(stretch(Place((108, 160), (148, 160)), 6))

    def shown(displacement: Tensor, part: Tensor) -> Tensor:
        one = Layers(displacement, torch.ones(1, 1, 256, 256), torch.zeros(1, 3, 256, 256))
        made: Tensor = Interpolator()(pivot, one, one, torch.tensor([0.5]), part)
        return made

    both = [Layers(d, torch.ones(1, 1, 256, 256), torch.zeros(1, 3, 256, 256)) for d in some]
    made = Interpolator()(pivot, *both, torch.tensor([0.5]), part)
    half_way = stretched(some.mean(0), part)
    assert torch.allclose(made, shown(half_way, torch.zeros(1, 9)), atol=1e-5)
    assert not torch.allclose(made, shown(some.mean(0), torch.zeros(1, 9)), atol=1e-2)


def test_what_hardly_moves_stands_still_and_what_moves_moves() -> None:
    before = torch.zeros(1, 2, MOTION_SIZE, MOTION_SIZE)
    trembling, moving = torch.full_like(before, 0.3 / 128), torch.full_like(before, 3.0 / 128)
    elsewhere = torch.full((1, KEYPOINTS, 2), 5.0)
    assert torch.allclose(steadied(trembling, before, elsewhere), before, atol=1e-9)
    assert torch.allclose(steadied(moving, before, elsewhere), moving)
    halves = torch.cat([trembling[..., :32], moving[..., 32:]], -1)
    kept = steadied(halves, before, elsewhere)
    assert torch.allclose(kept[..., :30], before[..., :30], atol=1e-9)
    assert torch.allclose(kept[..., 34:], moving[..., 34:])
    far_away = torch.full_like(before, 9.0)
    assert torch.allclose(steadied(trembling, far_away, elsewhere), trembling, atol=1e-6)
    face = steadied(trembling, before, torch.zeros(1, KEYPOINTS, 2))
    assert torch.allclose(face[..., 30:34, 30:34], trembling[..., 30:34, 30:34])
    assert torch.allclose(face[..., :4, :4], before[..., :4, :4], atol=1e-6)


def test_a_deformation_is_added_to_the_displacement() -> None:
    torch.manual_seed(0)
    encoder, generator = PivotEncoder(COMPACT).eval(), Generator(COMPACT).eval()
    pivot, still = torch.rand(1, 3, 256, 256), some_points()
    bend = torch.full((1, 2, MOTION_SIZE, MOTION_SIZE), 0.1)
    with torch.no_grad():
        plain = generator(pivot, encoder(pivot), still, still)[1].displacement
        bent = generator(pivot, encoder(pivot), still, still, bend)[1].displacement
    assert torch.allclose(bent - plain, bend, atol=1e-6)


@pytest.mark.parametrize(("amount", "steep"), [(7, 6.0), (-7, 1.5)])
def test_lips_are_stretched_as_the_bitstream_says(amount: int, steep: float) -> None:
    """Word for word: docs/bitstream.md, Mouths."""
    dice = torch.Generator().manual_seed(1)
    displacement = 0.05 * torch.randn(1, 2, MOTION_SIZE, MOTION_SIZE, generator=dice)
    place = Place((90, 150), (140, 165), 4)
    found = stretched(displacement, torch.from_numpy(stretch(place, amount)))
    taken = (identity_grid(MOTION_SIZE, MOTION_SIZE, displacement) + displacement + 1)[0] * 128  # pixels of 256
    left, right = torch.tensor([90.0, 150.0]), torch.tensor([140.0, 165.0])
    width = (right - left).norm()
    along = (right - left) / width
    across = torch.stack([-along[1], along[0]])
    away = taken - ((left + right) / 2 + across * 4 / 2)[:, None, None]
    u, v = (away * along[:, None, None]).sum(0) / (width / 2), (away * across[:, None, None]).sum(0) / (0.4 * width)
    wanted = amount * torch.tanh(steep * v) * torch.exp(-u * u - v * v / 2)
    assert wanted.abs().max() > 3
    assert torch.allclose((found - displacement)[0] * 128, across[:, None, None] * wanted, atol=1e-3)
    assert torch.equal(stretched(displacement, torch.tensor(stretch(None, 0))), displacement)
