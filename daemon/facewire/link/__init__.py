"""Bytes between the two devices: addresses, keys, sockets, and how much may be on its way."""
