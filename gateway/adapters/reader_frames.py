"""How a worker and its reader process talk: short JSON frames on a socket, and bodies in memory that both have open.

Nothing is pickled. A body is written into shared memory once, by a system call that lets other threads run; on the
socket go its size and what is to be done with it. Neither appears in an argument, a log or, on Linux, a file.
"""

import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from typing import Any

import orjson

LENGTH = struct.Struct(">I")
MAX_FRAME = 2**22


def open_region(name: str) -> int:
    """A descriptor of shared memory; where the system has none, of a file without a name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def put(region: int, parts: Sequence[bytes]) -> None:
    """Write these parts, one after the other."""
    at = 0
    for part in parts:
        view = memoryview(part)
        while view:
            written = os.pwrite(region, view, at)
            view, at = view[written:], at + written


def take(region: int, sizes: Sequence[int]) -> list[bytes]:
    """The parts that were written; their memory is free then."""
    parts, at = [], 0
    for size in sizes:
        part = os.pread(region, size, at)
        if len(part) != size:
            raise EOFError("a region is shorter than was said")
        parts.append(part)
        at += size
    os.ftruncate(region, 0)
    return parts


def frame(document: Any) -> bytes:
    content = orjson.dumps(document)
    return LENGTH.pack(len(content)) + content


def read_frame(control: socket.socket) -> Any | None:
    """The next frame on a blocking socket; None where the other side has ended."""
    head = _read(control, LENGTH.size)
    content = None if head is None else _read(control, LENGTH.unpack(head)[0])
    return None if content is None else orjson.loads(content)


def _read(control: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = control.recv(min(size - len(content), MAX_FRAME))
        if not part:
            return None
        content += part
    return bytes(content)
