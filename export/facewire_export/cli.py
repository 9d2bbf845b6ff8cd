"""`facewire-export`: training, ONNX export, clips, evaluation, benchmarks.

Each sub-command's module is imported only when it is asked for, so that `--help` does not wait for torch.

Exit codes: 0 done, 1 what was asked cannot be done (one line on stderr), 2 usage.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from facewire.errors import FacewireError


@dataclass(frozen=True)
class Command:
    """A sub-command: its module has `add_<name>_arguments(parser)` and `main(options) -> int`."""

    module: str
    help: str


COMMANDS = {
    "train": Command("facewire_export.train", "train the networks on a folder of clips"),
    "onnx": Command("facewire_export.onnx_export", "write trained networks as ONNX files with their manifest"),
    "crop": Command("facewire_export.crop", "cut square clips of talking heads out of a folder of videos"),
    "evaluate": Command("facewire_export.evaluate", "rate and quality of the shipped networks on a folder of clips"),
    "baselines": Command("facewire_export.baselines", "compare ways of describing movement that were trained alike"),
    "link": Command("facewire_export.rig.command", "both daemons over an emulated satellite link, with faults"),
    "quantize": Command("facewire_export.quantize", "INT8 variants of the networks that bear it, measured"),
    "half": Command("facewire_export.half", "explicitly typed fp16 files with a free batch, for GPUs"),
    "tensorrt": Command("facewire_export.tensorrt", "build the TensorRT engines of this machine beforehand"),
    "parity": Command("facewire_export.parity", "hold every precision and provider against fp32; a gate"),
    "throughput": Command("facewire_export.throughput", "the decoder on every provider, for one stream and for many"),
    "bench": Command("facewire_export.bench", "time each stage and both pipelines on this machine"),
}


def _usage() -> str:
    lines = ["usage: facewire-export COMMAND ... [--debug]", "", __doc__.split("\n")[0].split(": ", 1)[1], ""]
    lines += [f"  {name:<10} {command.help}" for name, command in COMMANDS.items()]
    lines += ["", "facewire-export COMMAND --help lists its options."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if not words or words[0] not in COMMANDS:
        asked = f"unknown command {words[0]!r}\n" if words else ""
        print(f"{asked}{_usage()}", file=sys.stderr)
        return 2
    name, rest = words[0], words[1:]
    debug = "--debug" in rest
    try:
        try:
            module = importlib.import_module(COMMANDS[name].module)
        except ModuleNotFoundError as error:
            raise FacewireError(
                f"{name} needs the Python package {error.name}, which is not installed; pip install 'facewire[export]'"
            ) from error
        parser = argparse.ArgumentParser(prog=f"facewire-export {name}", description=module.__doc__)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        getattr(module, f"add_{name}_arguments")(parser)
        parser.add_argument("--debug", action="store_true", help="show tracebacks")
        try:
            options = parser.parse_args(rest)
        except SystemExit as stop:
            return int(stop.code or 0)
        return int(module.main(options) or 0)
    except KeyboardInterrupt:
        if debug:
            raise
        print(f"facewire-export {name}: stopped", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone: nothing to say and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FacewireError, OSError) as error:
        if debug:
            raise
        print(f"facewire-export {name}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        what = " ".join(str(error).split()) or "no further details"
        print(f"facewire-export {name}: {type(error).__name__}: {what} (--debug shows where)", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
