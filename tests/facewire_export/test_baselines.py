"""The baselines' geometry against closed forms, their gradients, and two steps of training each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (facewire[export])")

from torch import Tensor  # noqa: E402

from facewire.errors import FacewireError  # noqa: E402
from facewire_export.baselines import against_ours, budget, caution, judge_frame, read_runs, table  # noqa: E402
from facewire_export.lpips import load_lpips  # noqa: E402
from facewire_export.networks import fomm, vid2vid  # noqa: E402
from facewire_export.networks.blocks import identity_grid  # noqa: E402
from facewire_export.networks.tiers import KEYPOINTS, MOTION_SIZE, TIERS  # noqa: E402
from facewire_export.payload import STEPS, entropy, payload  # noqa: E402
from facewire_export.training import augment  # noqa: E402
from facewire_export.training.representations import REPRESENTATIONS  # noqa: E402

WEIGHTS = Path(__file__).resolve().parents[3] / "shared" / "weights"
COMPACT = TIERS["compact"]
GRID = identity_grid(MOTION_SIZE, MOTION_SIZE, torch.zeros(1))


def dice(seed: int) -> Any:
    return torch.Generator().manual_seed(seed)


def with_jacobians(points: Tensor, matrices: Tensor) -> Tensor:
    found: Tensor = torch.cat([points, matrices.flatten(2)], 2)
    return found


def described(angles: tuple[float, float, float], shift: tuple[float, float], size: float, face: Tensor) -> Tensor:
    """A frame of the 3-D model without expression: [1, 66]."""
    pose = torch.tensor([[*angles, *shift, math.log(size)]])
    found: Tensor = torch.cat([pose, torch.zeros(1, 3 * KEYPOINTS), face.flatten(1)], 1)
    return found


def some_face(seed: int = 5) -> Tensor:
    found: Tensor = torch.tensor(vid2vid.TEMPLATE)[None] + 0.05 * torch.randn(1, KEYPOINTS, 3, generator=dice(seed))
    return found


def test_an_affine_move_is_reproduced_exactly_by_true_jacobians() -> None:
    """pivot = A driving + b, and so are all points; whatever the driving Jacobians are, J_pivot = A J_driving."""
    a = torch.tensor([[1.1, 0.3], [-0.2, 0.8]])
    b = torch.tensor([0.1, -0.15])
    points = torch.rand(1, KEYPOINTS, 2, generator=dice(0)) - 0.5
    frames = torch.eye(2) + 0.3 * torch.randn(1, KEYPOINTS, 2, 2, generator=dice(1))
    warps = fomm.local_warps(with_jacobians(points @ a.T + b, a @ frames), with_jacobians(points, frames))
    wanted = torch.einsum("ij,bjhw->bihw", a, GRID) + b.view(1, 2, 1, 1)
    assert warps[:, 0].abs().max() == 0
    assert torch.allclose(GRID[:, None] + warps[:, 1:], wanted[:, None].expand(-1, KEYPOINTS, -1, -1, -1), atol=1e-5)


def test_without_jacobians_each_map_is_a_translation() -> None:
    pivot, driving = torch.rand(2, 1, KEYPOINTS, 2, generator=dice(2)).unbind()
    warps = fomm.local_warps(pivot, driving)[:, 1:]
    assert torch.allclose(warps, (pivot - driving)[..., None, None].expand_as(warps), atol=1e-6)


def test_a_flat_jacobian_is_no_way_to_infinity() -> None:
    flat = torch.tensor([[1.0, 2.0], [0.5, 1.0]])
    assert fomm.inverse(flat).abs().max() <= 2 / fomm.LEAST_DETERMINANT
    well = torch.tensor([[2.0, 1.0], [0.5, -1.5]])
    assert torch.allclose(fomm.inverse(well) @ well, torch.eye(2), atol=1e-6)


def test_true_jacobians_are_equivariant() -> None:
    """The detector's points and Jacobians, moved as the picture is moved, cost nothing; left as they were, a lot."""
    kind = REPRESENTATIONS["fomm"]
    maps = torch.tensor([[[0.9, -0.2, 0.05], [0.3, 1.1, -0.1]]])
    points = torch.rand(1, KEYPOINTS, 2, generator=dice(3)) - 0.5
    frames = torch.eye(2) + 0.2 * torch.randn(1, KEYPOINTS, 2, 2, generator=dice(4))
    found = with_jacobians(points, frames)
    moved = with_jacobians(augment.move_points(points, maps), torch.linalg.inv(maps[:, :, :2])[:, None] @ frames)
    assert kind.equivariance(found, found, moved, maps) < 1e-5
    assert kind.equivariance(found, found, found, maps) > 0.1


def test_rotations_turn_as_they_say_and_keep_lengths() -> None:
    turn = vid2vid.rotation(torch.tensor([[0.4, -0.7, 0.2]]))[0]
    assert torch.allclose(turn @ turn.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(turn) == pytest.approx(1)
    about_z = vid2vid.rotation(torch.tensor([[0.0, 0.0, math.pi / 2]]))[0]
    assert torch.allclose(about_z @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_a_turned_head_is_reproduced_exactly_at_every_depth() -> None:
    """With no expression all keypoints agree: a place at depth z of the driving head is turned, scaled, shifted."""
    face = some_face()
    pivot = described((0.1, -0.3, 0.1), (0.05, 0.1), 0.9, face)
    driving = described((-0.2, 0.4, -0.1), (0.0, 0.2), 1.2, face)
    through, warps = vid2vid.turned_warps(pivot, driving)
    (turn_p, shift_p, size_p), (turn_d, shift_d, size_d) = vid2vid.pose(pivot), vid2vid.pose(driving)
    layers = warps[:, 1:].view(1, KEYPOINTS, len(vid2vid.DEPTHS), 2, MOTION_SIZE, MOTION_SIZE)
    for index, depth in enumerate(vid2vid.DEPTHS):
        flat = (GRID - shift_d[..., None, None]).flatten(2) / size_d
        canonical = turn_d[0].T @ torch.cat([flat[0], torch.full_like(flat[0, :1], depth)])
        wanted = (turn_p[0] @ canonical)[:2] * size_p + shift_p.T
        found = (GRID[:, None] + layers[:, :, index]).flatten(3)[0]
        assert torch.allclose(found, wanted.expand(KEYPOINTS, -1, -1), atol=1e-5)
    at = vid2vid.keypoints(pivot, driving)[..., :2]
    moved = torch.stack(
        [torch.nn.functional.grid_sample(through[:, k], at[:, k : k + 1, None], align_corners=False)[0, :, 0, 0]
         for k in range(KEYPOINTS)]
    )  # fmt: skip
    assert torch.allclose(at[0] + moved, vid2vid.keypoints(pivot, pivot)[0, :, :2], atol=1e-4)


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_a_frame_that_is_the_pivot_moves_nothing(name: str) -> None:
    kind = REPRESENTATIONS[name]
    found = kind.detector(COMPACT).eval()(torch.rand(1, 3, 128, 128, generator=dice(6)))
    warps, _ = kind.motion(COMPACT).describe(torch.rand(1, 3, 64, 64), found, found)
    if name == "vid2vid3d":  # a plane at another depth than its keypoint's moves only as the head turns
        warps = vid2vid.turned_warps(found, found)[0]
    assert warps.abs().max() < 1e-4


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_shapes_and_what_travels(name: str) -> None:
    kind = REPRESENTATIONS[name]
    pictures = torch.rand(2, 3, 128, 128, generator=dice(7))
    found = kind.detector(COMPACT).eval()(pictures)
    pivot, driving = found.chunk(2)
    assert kind.places(pivot, driving).shape == (1, KEYPOINTS, 2)
    sent = kind.carried(driving)
    assert sent.shape == (1, sum(count for _, count in kind.kinds))
    displacement, occlusion, hidden = kind.motion(COMPACT).eval()(pictures[:1, :, ::2, ::2], pivot, driving)
    assert displacement.shape == (1, 2, MOTION_SIZE, MOTION_SIZE)
    assert occlusion.shape == (1, 1, MOTION_SIZE, MOTION_SIZE)
    assert hidden.shape == (1, COMPACT.motion[0], MOTION_SIZE, MOTION_SIZE)


@pytest.mark.parametrize("name", sorted(REPRESENTATIONS))
def test_the_detector_learns_from_the_displacement(name: str) -> None:
    kind = REPRESENTATIONS[name]
    detector, motion = kind.detector(COMPACT), kind.motion(COMPACT)
    pictures = torch.rand(4, 3, 128, 128, generator=dice(8))
    pivot, driving = detector(pictures).chunk(2)
    displacement, _, _ = motion(pictures[:2, :, ::2, ::2], pivot, driving)
    target = torch.randn(displacement.shape, generator=dice(9))
    (displacement * target).sum().backward()
    silent = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A softmax does not see a number added to a whole heat map.
    assert set(silent) <= {"head.bias"}, silent


def test_expression_is_penalised_and_pose_is_not() -> None:
    kind = REPRESENTATIONS["vid2vid3d"]
    frame = described((0.5, 0.5, 0.5), (0.3, 0.3), 1.5, some_face())
    assert kind.prior(frame) == 0
    frame[:, 6 : vid2vid.CARRIED] = 0.1
    assert kind.prior(frame) == pytest.approx(0.1)


def test_entropy_and_payload_of_known_numbers() -> None:
    assert entropy(np.array([3, 3, 3])) == 0
    assert entropy(np.array([0, 1, 2, 3])) == 2
    still = np.zeros((9, 20), np.float32)
    kinds = REPRESENTATIONS["facewire"].kinds
    found = payload([still], kinds)
    assert (found["numbers"], found["raw_bits"], found["entropy_bits"]) == (20, 640, 0)
    # Each number goes to and fro between two neighbours of the grid: up and down are equally frequent, one bit each.
    shaken = still.copy()
    shaken[1::2] = STEPS["position"][0]
    assert payload([shaken], kinds)["entropy_bits"] == 20
    turning = np.zeros((9, 36), np.float32)
    turning[1::2, 0] = STEPS["rotation"][0]
    parts = payload([turning], REPRESENTATIONS["vid2vid3d"].kinds)
    assert parts["entropy_bits_by_kind"]["expression"] == 0
    assert parts["entropy_bits_by_kind"]["rotation"] > 0
    assert parts["coder_bits"] is None


def test_the_coder_spends_less_on_a_head_that_moves_as_a_whole() -> None:
    steps = np.random.default_rng(1).normal(0, 0.02, (60, 1, 2)).cumsum(0)
    whole = np.broadcast_to(steps, (60, KEYPOINTS, 2)).reshape(60, -1).astype(np.float32)
    found = payload([whole], REPRESENTATIONS["facewire"].kinds)
    assert found["coder_bits"] < 0.5 * found["entropy_bits"]


def run_record(name: str, **changes: Any) -> dict[str, Any]:
    settings = {"batch": 8, "motion_batch": 16, "motion_steps": 3}
    record = {
        "motion": name, "steps": 5, "seed": 1, "learning_rate": [1e-3, 1e-4], "ema": 0.9, "tier": "compact",
        "clips": 1, "frames": 12, "settings": settings, "seconds": 60.0, "cpu_seconds": 90.0,
    }  # fmt: skip
    return {**record, **changes}


def test_only_runs_of_one_budget_are_compared(tmp_path: Path) -> None:
    with pytest.raises(FacewireError, match="needs a run of facewire"):
        read_runs(tmp_path)
    (tmp_path / "animator-facewire.json").write_text(json.dumps(run_record("facewire")))
    (tmp_path / "animator-fomm.json").write_text(json.dumps(run_record("fomm")))
    assert list(read_runs(tmp_path)) == ["facewire", "fomm"]
    (tmp_path / "animator-fomm.json").write_text(json.dumps(run_record("fomm", steps=6)))
    with pytest.raises(FacewireError, match="fomm and facewire differ in steps"):
        read_runs(tmp_path)
    assert budget(run_record("fomm")) == {"pairs": 3 * 16 + 2 * 8, "minutes": 1.0, "cpu_minutes": 1.5}


def test_a_difference_is_counted_clip_by_clip() -> None:
    ours, theirs = ([{"shown": {"lpips": value}} for value in values] for values in ((0.2, 0.3, 0.1), (0.3, 0.2, 0.4)))
    mean, error, better = against_ours({"clips": ours}, {"clips": theirs})
    assert mean == pytest.approx(0.1)
    assert error == pytest.approx(0.2 / 3**0.5)
    assert better == 1


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="needs ../shared/weights: LPIPS is not shipped")
def test_a_frame_is_judged_as_by_each_metric_alone() -> None:
    lpips = load_lpips(WEIGHTS)
    real, other = torch.rand(2, 1, 3, 64, 64, generator=dice(11)).unbind()
    found = judge_frame(lpips, real, {"same": real, "other": other})
    assert found["same"]["psnr"] == float("inf")
    assert found["same"]["ssim"] == pytest.approx(1)
    assert found["same"]["lpips"] == pytest.approx(0, abs=1e-6)
    assert found["other"]["lpips"] == pytest.approx(lpips(real * 2 - 1, other * 2 - 1).item(), rel=1e-4)


def test_runs_that_lost_to_the_held_pivot_are_not_ranked() -> None:
    def run(name: str, lpips: float) -> dict[str, Any]:
        return {"motion": name, "scores": {"held": {"lpips": 0.15}, "shown": {"lpips": lpips}}}

    assert "too early" not in caution([run("facewire", 0.1), run("fomm", 0.12)])
    assert "By LPIPS fomm did not" in caution([run("facewire", 0.1), run("fomm", 0.16)])


def test_the_kept_table_is_made_from_the_kept_results() -> None:
    kept = Path(__file__).resolve().parents[2] / "results" / "baselines"
    files = [kept / f"{name}.json" for name in REPRESENTATIONS]
    results = [json.loads(path.read_text()) for path in files if path.is_file()]
    assert table(results) == (kept / "table.md").read_text()
