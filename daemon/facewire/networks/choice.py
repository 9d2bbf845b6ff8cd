"""On what the networks run, and in which precision; every choice has a reason that is logged.

    auto      tensorrt, cuda, cpu: the first that this machine can use
    a name    that one, or an error: never a quiet step down

    tensorrt  the vendor's TensorRT itself, engines built on this machine       fp16
    cuda      ONNX Runtime's CUDA provider                                      fp16
    ort-tensorrt  ONNX Runtime's TensorRT provider; only when asked for by name fp16
    cpu       ONNX Runtime's CPU provider    int8 where the processor has instructions for it (AVX2, SDOT), else fp32

A network that has no file in the precision wanted runs in fp32. Which are meant is for the manifest to say.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from facewire.errors import ModelError
from facewire.names import PRECISIONS, PROVIDERS
from facewire.networks import gpu
from facewire.networks.manifest import NetworkEntry

log = logging.getLogger(__name__)

AUTO_ORDER = ("tensorrt", "cuda", "cpu")
ORT_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "ort-tensorrt": "TensorrtExecutionProvider",
}
INT8_FLAGS = frozenset({"avx2", "avx512_vnni", "avx_vnni", "asimddp", "i8mm"})
"""Processor flags (Linux's names) of products of bytes. The generator's time in INT8, as a share of that in fp32: half
with VNNI, 0.74 with AVX2 alone, whose sums of two products saturate; pictures are 48 dB from fp32's or more on both."""

Probe = Callable[[], "str | None"]
"""Why something cannot be used on this machine; None where it can."""


@dataclass(frozen=True)
class Candidate:
    """A provider that may be tried, and what was said of those before it."""

    provider: str
    passed_over: tuple[str, ...] = ()


def candidates(asked: str = "auto", probes: Mapping[str, Probe] | None = None) -> list[Candidate]:
    """What to try, in order. ModelError for an unknown name, or one asked for by name that cannot be used here."""
    probes = PROBES if probes is None else probes  # looked up late: a test puts its own there
    if asked not in PROVIDERS:
        raise ModelError(f"provider {asked!r}: must be one of {', '.join(PROVIDERS)}")
    if asked != "auto":
        why_not = probes[asked]()
        if why_not is not None:
            raise ModelError(f"provider {asked!r} cannot be used: {why_not}")
        return [Candidate(asked)]
    found: list[Candidate] = []
    passed: list[str] = []
    for provider in AUTO_ORDER:
        why_not = probes[provider]()
        if why_not is None:
            found.append(Candidate(provider, tuple(passed)))
        else:
            passed.append(f"{provider}: {why_not}")
    if not found:
        raise ModelError(f"nothing can run the networks: {'; '.join(passed)}")
    return found


def precision_for(entry: NetworkEntry, provider: str, asked: str = "auto", fast_int8: bool | None = None) -> str:
    """The precision in which a network runs. ModelError for one asked for by name that no file of the set has; a
    single network that lacks it runs in fp32, as the manifest means it."""
    if asked not in PRECISIONS:
        raise ModelError(f"precision {asked!r}: must be one of {', '.join(PRECISIONS)}")
    if asked == "auto":
        if provider != "cpu":
            asked = "fp16"
        elif has_fast_int8() if fast_int8 is None else fast_int8:
            asked = "int8"
        else:
            asked = "fp32"
    return asked if entry.has(asked) else entry.precision


def has_fast_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bytes faster than floats."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    flags: set[str] = set()
    for line in lines:
        if line.lower().startswith(("flags", "features")):
            flags.update(line.partition(":")[2].split())
    return not flags.isdisjoint(INT8_FLAGS)


def told(precisions: Mapping[str, str]) -> str:
    """Networks by precision, in one phrase: int8 generator, interpolator; fp32 keypoints."""
    by: dict[str, list[str]] = {}
    for name, precision in precisions.items():
        by.setdefault(precision, []).append(name)
    return "; ".join(f"{precision} {', '.join(names)}" for precision, names in by.items())


def announce(candidate: Candidate, failures: Iterable[str], precisions: Mapping[str, str]) -> None:
    """Log what was chosen, and why not what comes before it; a warning where a GPU stands idle."""
    text = f"networks run on {candidate.provider} ({told(precisions)})"
    failed = list(failures)
    if failed:
        log.warning("%s because %s", text, "; ".join([*candidate.passed_over, *failed]))
    elif candidate.passed_over and gpu_is_there():
        log.warning("%s although there is a GPU; %s", text, "; ".join(candidate.passed_over))
    elif candidate.passed_over:
        log.info("%s; %s", text, "; ".join(candidate.passed_over))
    else:
        log.info("%s", text)


def gpu_is_there() -> bool:
    """Whether the CUDA driver sees a GPU."""
    try:
        gpu.find()
    except ModelError:
        return False
    return True


def _ort(provider: str) -> Probe:
    def probe() -> str | None:
        if util.find_spec("onnxruntime") is None:
            return "onnxruntime is not installed; pip install 'facewire[decoder]'"
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if ORT_PROVIDERS[provider] in available:
            if provider == "cpu":
                return None
            return _no_gpu()
        return f"not in this onnxruntime (it has {', '.join(available)}); install onnxruntime-gpu"

    return probe


def _no_gpu() -> str | None:
    try:
        gpu.find()
    except ModelError as error:
        return str(error)
    return None


def _native() -> str | None:
    why_not = _no_gpu()
    if why_not is not None:
        return why_not
    if util.find_spec("tensorrt") is None:
        return "the Python package tensorrt is not installed" + (
            "; apt install python3-libnvinfer" if platform.machine() == "aarch64" else "; pip install tensorrt"
        )
    try:
        found = util.find_spec("cuda.bindings.driver")
    except ModuleNotFoundError:
        found = None
    return None if found else "the Python package cuda-python is not installed; pip install 'facewire[gpu]'"


PROBES: Mapping[str, Probe] = {
    "tensorrt": _native,
    "cuda": _ort("cuda"),
    "ort-tensorrt": _ort("ort-tensorrt"),
    "cpu": _ort("cpu"),
}
