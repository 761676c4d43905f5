"""Work on many bytes, beside the event loop.

Only for functions that let other threads run meanwhile: reading and writing descriptors, SHA-256, zstd, and joining
exact `bytes` (more than 1 MiB of them). AES-GCM, JSON and copies by slicing do not, and hold everybody up from a
thread, too: those go in slices (`sealed_entries.py`) or to the reader process.
"""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

AT_ONCE_UP_TO = 2**20
"""Handling less takes less than a millisecond, or about what moving it to a thread would."""


async def beside(size: int, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """The result of `work`, done in a thread where it is about more than a mebibyte."""
    if size <= AT_ONCE_UP_TO:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)


async def joined(parts: Sequence[bytes]) -> bytes:
    """The parts as one."""
    if len(parts) == 1:
        return parts[0]
    return await beside(sum(map(len, parts)), b"".join, parts)


async def digest(content: bytes) -> bytes:
    """The SHA-256."""
    return await beside(len(content), lambda: sha256(content).digest())
