"""The doctor on the way to the other end: address, TCP, keys."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from facewire.doctor.findings import BAD, NOTE, OK, Finding, Machine
from facewire.errors import ConfigError
from facewire.link.curve import AllowList, load_pair, load_servers
from facewire.link.endpoint import is_loopback
from facewire.link.kernel import shortcomings


def link(machine: Machine) -> Iterable[Finding]:
    if machine.decoder is not None and machine.encoder is None and machine.decoder.connect.startswith("tcp://"):
        host, _, port = machine.decoder.connect[6:].rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
                yield Finding("link", OK, f"{machine.decoder.connect} answers")
        except OSError as error:
            text = f"{machine.decoder.connect}: {error.strerror or error}; is the encoder on, is the port open?"
            yield Finding("link", NOTE, text)
    if machine.encoder is not None:
        bind = machine.encoder.bind
        if bind.startswith(("tcp://127.", "tcp://[::1]", "tcp://localhost")):
            yield Finding(
                "link", NOTE, f"bind is {bind}: decoders on this machine only; tcp://0.0.0.0:5555 lets others in"
            )
        else:
            yield Finding("link", OK, f"bind is {bind}, profile {machine.encoder.profile}")


def tcp(machine: Machine) -> Iterable[Finding]:
    ends = [machine.encoder.bind] if machine.encoder else []
    ends += [machine.decoder.connect] if machine.decoder else []
    if all(is_loopback(end) for end in ends):
        return
    lacks = [*shortcomings(machine.root, sends=machine.encoder is not None)]
    yield from (Finding("tcp", NOTE, text) for text in lacks)
    if not lacks:
        yield Finding("tcp", OK, "Fast Open, no timestamps, short pauses after an outage")


def keys(machine: Machine) -> Iterable[Finding]:
    for role, config, endpoint in (
        ("encoder", machine.encoder, machine.encoder.bind if machine.encoder else ""),
        ("decoder", machine.decoder, machine.decoder.connect if machine.decoder else ""),
    ):
        if config is None:
            continue
        try:
            place = config.curve.directory(endpoint)
            if place:
                pair, other = Path(place) / f"{role}.key_secret", AllowList(Path(place))
                load_pair(pair)
                known = len(other.keys) if role == "encoder" else len(load_servers(Path(place)))
                bad = [Finding("keys", BAD, fault) for fault in (other.faults if role == "encoder" else ())]
                yield from bad
                if role == "encoder" and not known:
                    yield Finding("keys", BAD, f"{place}: no decoder*.key: nobody is let in; put public keys there")
                elif not bad:
                    many = f"{known} decoder{'' if known == 1 else 's'} let in"
                    what = many if role == "encoder" else "encoder known"
                    yield Finding("keys", OK, f"{role}: {place}, {what}")
            elif config.curve.plain:
                yield Finding("keys", NOTE, f"{role}: curve.plain is true: whoever is on the way can watch")
        except ConfigError as error:
            yield Finding("keys", BAD, str(error))
