"""Names that settings may choose from, apart from what they name: settings are read before anything heavy is loaded, so
that a daemon's link is on its way meanwhile. Tests hold them to what they name."""

from __future__ import annotations

PROVIDERS = ("auto", "tensorrt", "cuda", "ort-tensorrt", "cpu")
PRECISIONS = ("auto", "fp32", "int8", "fp16")
PRESETS = ("adaptive", "paper", "pose", "background", "yaw", "pitch", "roll", "first")
