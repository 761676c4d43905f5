"""Sealing and unsealing in slices: AES-GCM lets no other thread run, 16 MiB of it take 10 ms."""

import asyncio
from collections.abc import Sequence

from gateway.core import sealing
from gateway.flow.beside import AT_ONCE_UP_TO, joined


async def sealed(key: bytes, address: str, parts: Sequence[bytes], nonce: bytes) -> bytes:
    """As `sealing.seal` on the parts together."""
    if sum(map(len, parts)) <= AT_ONCE_UP_TO:
        return sealing.seal(key, address, b"".join(parts), nonce)
    pieces: list[bytes] = []
    for piece in sealing.seal_in_slices(key, address, parts, nonce):
        pieces.append(piece)
        await asyncio.sleep(0)
    return await joined(pieces)


async def unsealed(key: bytes, address: str, blob: bytes) -> list[bytes] | None:
    """As `sealing.unseal`, the content in pieces: joining them here would be a copy too many."""
    if len(blob) <= AT_ONCE_UP_TO:
        content = sealing.unseal(key, address, blob)
        return None if content is None else [content]
    pieces: list[bytes] = []
    try:
        for piece in sealing.unseal_in_slices(key, address, blob):
            pieces.append(piece)
            await asyncio.sleep(0)
    except sealing.NotSealedHere:
        return None
    return pieces
