"""The command line. Each command's work is imported when it is called, so that `--help` comes at once.

Exit codes: 0 done, 1 what was asked cannot be done (one line on stderr says what and how to mend it), 2 usage.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from facewire.errors import FacewireError

PROFILE_NAMES = ("iridium", "bgan", "vsat", "lan")
"""As in facewire.profiles; a test holds the two together."""
SOURCES = "auto, picamera2:0, v4l2:/dev/video0, file:clip.mp4[?loop], rtsp://..., sample:"
SINKS = "hdmi:[connector], rtsp://0.0.0.0:8554/live, window:, file:out.mp4, null:"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Prints errors; no traceback without --debug."""
    options = _parser().parse_args(arguments)
    options.debug = getattr(options, "debug", False)  # argparse leaves it out, so that either place may set it
    _stop_on_sigterm()
    try:
        code: int = _COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except FacewireError as error:
        if options.debug:
            raise
        return _fail(str(error))
    except _Stopped:
        return 0
    except KeyboardInterrupt:
        return 0 if options.command in ("encoder", "decoder", "demo") else _fail("interrupted")
    except BrokenPipeError:  # `facewire inspect x.fw | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("out of memory")
    except OSError as error:
        if options.debug:
            raise
        return _fail(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except Exception as error:
        if options.debug:
            raise
        return _fail(f"internal error, {type(error).__name__}: {error}; --debug shows where")


class _Stopped(BaseException):
    """SIGTERM arrived. No Exception, so that no handler on the way swallows it; `finally` closes what is open."""


def _stop_on_sigterm() -> None:
    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not break the closing
        raise _Stopped

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def _fail(message: str) -> int:
    print(f"facewire: {' '.join(message.split())}", file=sys.stderr)
    return 1


def _encoder(options: argparse.Namespace) -> int:
    from facewire import logs
    from facewire.config import load_encoder

    config = load_encoder(options.config, _given(source=options.source, bind=options.bind, profile=options.profile))
    logs.setup(config.log.level, options.debug)
    from facewire import encoder

    return encoder.run(config)


def _decoder(options: argparse.Namespace) -> int:
    from facewire import logs
    from facewire.config import load_decoder

    given = _given(connect=options.connect, sinks=options.sink, size=options.size)
    if options.config and (len(options.config) > 1 or os.path.isdir(options.config[0])):  # noqa: PTH112
        from facewire import sites

        found = sites.load(options.config, given)
        logs.setup(found[0].config.log.level, options.debug)
        return sites.run(found)
    config = load_decoder(options.config[0] if options.config else None, given)
    logs.setup(config.log.level, options.debug)
    from facewire.incoming.opening import open_link

    link = open_link(config)
    from facewire import decoder  # takes a while

    return decoder.run(config, link=link)


def _given(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def _compress(options: argparse.Namespace) -> int:
    _quietly(options)
    from facewire import files

    files.compress(
        options.input,
        options.output,
        profile=options.profile,
        skip=options.skip,
        pivots=options.pivots,
        report=options.report,
        append=options.append,
        keypoints=options.keypoints,
    )
    return 0


def _decompress(options: argparse.Namespace) -> int:
    _quietly(options)
    from facewire import files

    files.decompress(
        options.input, options.output, size=options.size, lossless=options.lossless, start=options.start
    )
    return 0


def _inspect(options: argparse.Namespace) -> int:
    _quietly(options)
    from facewire import inspect

    return inspect.run(options.input, options.json)


def _demo(options: argparse.Namespace) -> int:
    _quietly(options)
    from facewire import demo

    return demo.run(source=options.source, seconds=options.seconds, size=options.size, profile=options.profile)


def _doctor(options: argparse.Namespace) -> int:
    _quietly(options)
    from facewire import doctor

    return doctor.run(options.role, options.config)


def _keygen(options: argparse.Namespace) -> int:
    from facewire.link import keygen

    return keygen.run(options.directory, options.add, options.next)


def _quietly(options: argparse.Namespace) -> None:
    from facewire import logs

    logs.setup("warning", options.debug)


_COMMANDS = {
    "encoder": _encoder,
    "decoder": _decoder,
    "compress": _compress,
    "decompress": _decompress,
    "inspect": _inspect,
    "demo": _demo,
    "doctor": _doctor,
    "keygen": _keygen,
}


def _parser() -> argparse.ArgumentParser:
    from facewire import __version__

    debug = argparse.ArgumentParser(add_help=False)
    debug.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="log everything, show tracebacks"
    )
    parser = argparse.ArgumentParser(
        "facewire", description="Talking heads over links that carry almost nothing.", parents=[debug]
    )
    parser.add_argument("--version", action="version", version=f"facewire {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[debug])

    c = command("encoder", "send: camera to keypoints to network")
    c.add_argument("-c", "--config", metavar="TOML", help="settings; samples are in configs/")
    c.add_argument("--source", metavar="SPEC", help=SOURCES)
    c.add_argument("--bind", metavar="ENDPOINT", help="address for decoders, such as tcp://0.0.0.0:5555")
    c.add_argument("--profile", metavar="NAME", help="class of link: " + ", ".join(PROFILE_NAMES))

    c = command("decoder", "show: network to keypoints to screen")
    c.add_argument(
        "-c", "--config", metavar="TOML", action="append",
        help="settings; samples are in configs/. Several, or a folder: one site each, all in this process",
    )  # fmt: skip
    c.add_argument("--connect", metavar="ENDPOINT", help="address of the encoder, such as tcp://camera.example:5555")
    c.add_argument("--sink", metavar="SPEC", action="append", help=SINKS + "; may be given several times")
    c.add_argument("--size", type=int, metavar="N", help="side of the shown picture in pixels")

    c = command("compress", "a video to a .fw file")
    c.add_argument("input", metavar="IN", help="a video file, or a source: " + SOURCES)
    c.add_argument("output", metavar="OUT.fw")
    c.add_argument("--profile", choices=PROFILE_NAMES, default="vsat", help="class of link (default: vsat)")
    c.add_argument("--skip", type=int, choices=range(4), help="interpolated frames between two sent ones")
    c.add_argument("--pivots", choices=("adaptive", "first"), default="adaptive", help="when new pivots are sent")
    c.add_argument(
        "--keypoints",
        choices=("coded", "bare", "raw"),
        default="coded",
        help="bare: without deformations; raw: 8 bytes a point as well; to compare",
    )
    c.add_argument("--append", action="store_true", help="go on with OUT.fw if it is there")
    c.add_argument("--report", metavar="R.json", help="write frames, bytes by class and rates")

    c = command("decompress", "a .fw file to a video")
    c.add_argument("input", metavar="IN.fw")
    c.add_argument("output", metavar="OUT", help=".mp4, .mkv, or a folder for PNGs")
    c.add_argument("--size", type=int, default=512, metavar="N", help="side of the pictures (default: 512)")
    c.add_argument("--lossless", action="store_true", help="for .mkv: keep every pixel")
    c.add_argument("--start", type=float, default=0.0, metavar="S", help="leave out the first S seconds")

    c = command("inspect", "a table of packets and bytes in a .fw file")
    c.add_argument("input", metavar="IN.fw")
    c.add_argument("--json", action="store_true", help="the figures that compress --report writes")

    c = command("demo", "both daemons on this machine, and a picture at the end")
    c.add_argument("--source", metavar="SPEC", default="auto", help=SOURCES)
    c.add_argument("--seconds", type=float, default=20.0, metavar="S", help="how long (default: 20)")
    c.add_argument("--size", type=int, default=512, metavar="N", help="side of the shown picture (default: 512)")
    c.add_argument("--profile", choices=PROFILE_NAMES, default="vsat", help="class of link (default: vsat)")

    c = command("doctor", "what this machine has for the job, line by line")
    c.add_argument("role", nargs="?", choices=("encoder", "decoder"), help="only what this role needs (default: both)")
    c.add_argument("-c", "--config", metavar="TOML", help="check with these settings (needs the role)")

    c = command("keygen", "make key pairs for an encrypted link")
    c.add_argument("directory", metavar="DIR")
    which = c.add_mutually_exclusive_group()
    which.add_argument("--add", metavar="NAME", help="a pair for one more decoder")
    which.add_argument("--next", action="store_true", help="the encoder's next pair, to change keys while it runs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
