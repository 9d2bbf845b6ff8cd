"""Memory of pictures goes back to the system. In a process of its own: the setting stays for good."""

import platform
import subprocess
import sys

import pytest

_SIZE = 700_000
_PROGRAM = f"""
import ctypes, sys
from facewire import memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def mapped(block):
    # the last bits of the size before a block say whether it is a mapping of its own (glibc, malloc.c)
    return bool(ctypes.c_size_t.from_address(block - ctypes.sizeof(ctypes.c_size_t)).value & 2)

if sys.argv[1] == "set":
    assert memory.return_pictures()
first = libc.malloc({_SIZE})
libc.free(first)
print(mapped(libc.malloc({_SIZE})))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is one of glibc's")
@pytest.mark.parametrize(("how", "is_mapped"), [("set", "True"), ("unset", "False")])
def test_a_picture_is_a_mapping_of_its_own(how: str, is_mapped: str) -> None:
    command = [sys.executable, "-c", _PROGRAM, how]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == is_mapped
