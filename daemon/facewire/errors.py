"""Errors that a user or a peer can cause. Each message is one line that says what is wrong and how to mend it."""


class FacewireError(Exception):
    """What was asked cannot be done; the command line prints the message and exits with 1."""


class ConfigError(FacewireError):
    """A configuration file or a command-line value is wrong; names file, key and allowed values."""


class SourceError(FacewireError):
    """A camera, file or stream cannot be opened or stopped delivering."""


class SinkError(FacewireError):
    """A display, server or file to show on cannot be opened or failed."""


class ModelError(FacewireError):
    """A network is missing, damaged or not the one that its manifest describes."""


class PacketError(FacewireError):
    """Bytes that are no valid packet (garbage, truncated, another version); the receiver counts and drops them."""


class UnplacedError(PacketError):
    """A packet that leans on others which did not arrive."""


class ContainerError(FacewireError):
    """A .fw file is not one, is of another version, or holds nothing that can be decoded."""


class MissingDependency(FacewireError):
    """An optional library is not installed; names the extra or apt package that brings it."""
