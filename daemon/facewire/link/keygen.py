"""`facewire keygen DIR`: key pairs for an encrypted link (CURVE, ZeroMQ RFC 26).

    DIR/encoder.key         public      both hosts
    DIR/encoder.key_secret  secret      the camera device alone
    DIR/decoder.key         public      both hosts
    DIR/decoder.key_secret  secret      the showing host alone

`--add NAME` makes a pair for one more decoder (decoder-NAME.key and .key_secret), `--next` the encoder's next pair
(encoder.next.key and .key_secret): docs/security.md says how keys are changed while pictures flow.

Encryption costs about 33 B for each message, 0.2 kbit/s on the iridium profile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from facewire.errors import ConfigError

ROLES = ("encoder", "decoder")


def run(directory: str | Path, add: str | None = None, following: bool = False) -> int:
    """Makes the pairs and prints what belongs where. Raises ConfigError; never overwrites a key."""
    place = Path(directory)
    for path in generate(place, names(add, following)):
        print(path)
    if add is not None:
        print(f"decoder-{add}.key stays here, with the camera device: it lets that decoder in, at once.")
        print(f"decoder-{add}.key_secret goes to that decoder's host, as decoder.key_secret beside encoder.key.")
    elif following:
        print("Copy encoder.next.key to each decoder's keys; when all have it, here: mv encoder.next.key encoder.key,")
        print("mv encoder.next.key_secret encoder.key_secret. Streams go on; new connections use the new key.")
    else:
        print("Both hosts need both .key files; each keeps its own .key_secret, and nobody else gets that.")
        print(f'Then, in both settings files: [curve] keys = "{place.resolve()}" (or where you put them).')
    return 0


def names(add: str | None = None, following: bool = False) -> tuple[str, ...]:
    """Which pairs are made. Raises ConfigError for a name that cannot be part of a file's name."""
    if following:
        return ("encoder.next",)
    if add is None:
        return ROLES
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", add):
        raise ConfigError(f"--add {add!r}: a name has letters, digits, - and _, 41 at most")
    return (f"decoder-{add}",)


def generate(directory: Path, pairs: Sequence[str] = ROLES) -> list[Path]:
    """Writes a pair for each name, secrets readable by their owner alone. Returns the paths.

    Raises ConfigError: the directory holds them already, or cannot be written.
    """
    from zmq.auth import create_certificates

    paths = [directory / f"{name}.{kind}" for name in pairs for kind in ("key", "key_secret")]
    there = [p.name for p in paths if p.exists()]
    if there:
        raise ConfigError(f"{directory}: holds {', '.join(there)} already; choose a new directory, or move them away")
    old_mask = os.umask(0o077)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in pairs:
            create_certificates(directory, name, metadata={"facewire": name})
            (directory / f"{name}.key").chmod(0o644)
    except OSError as error:
        raise ConfigError(f"{directory}: cannot write keys ({error.strerror or error}); choose another place") from None
    finally:
        os.umask(old_mask)
    return paths
