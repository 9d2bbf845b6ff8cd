"""Facewire: talking-head video over satellite links."""

__version__ = "0.1.0"
