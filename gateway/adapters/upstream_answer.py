"""Reads the bodies of the upstream's answers: small ones at once, large ones a few at a time and in turns.

While many large answers arrive together, each turn of the event loop is as long as all of them need for a piece, and
whoever needs several turns, as a hit does, waits for all of that. So only one of them is read on in a turn, and only a
few are begun; the others wait unread, and the upstream with them. One that brings nothing lets the next one pass.
"""

import asyncio

import aiohttp

from gateway.flow.beside import AT_ONCE_UP_TO, joined
from gateway.ports import AnswerPlace

MOMENT_S, STALL_S = 0.005, 1.0
"""After so long without a piece another answer is read on; another one is begun."""


class AnswerReader:
    """One worker's."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def read(
        self, response: aiohttp.ClientResponse, max_bytes: int, place: AnswerPlace | None = None
    ) -> bytes | None:
        """The body; None where it has more than `max_bytes`. A large one still holds its place afterwards."""
        length = response.content_length
        if length is not None and length > max_bytes:
            return None
        pieces = Pieces(response.content, min(AT_ONCE_UP_TO, max_bytes))
        while await pieces.more(None):
            pass
        pieces.most = max_bytes
        while not pieces.ended():
            if place is not None:
                await place.take()
            if not await self._read_on(pieces) and place is not None:
                place.leave()
        return None if pieces.size > max_bytes else await joined(pieces.chunks)

    async def _read_on(self, pieces: "Pieces") -> bool:
        """Whether it has ended; it may stand still instead."""
        moving = True
        while moving and not pieces.ended():
            async with self._turn:
                while await pieces.more(MOMENT_S):
                    pass
            moving = await pieces.more(STALL_S)
        return pieces.ended()


class Pieces:
    """What has come of one answer, in the pieces in which it came; ended above `most` bytes, too."""

    def __init__(self, content: aiohttp.StreamReader, most: int) -> None:
        self._content, self.most = content, most
        self.chunks: list[bytes] = []
        self.size = 0

    def ended(self) -> bool:
        return self.size > self.most or self._content.at_eof()

    async def more(self, patience_s: float | None) -> bool:
        """Wait for another piece; whether one came."""
        if self.ended():
            return False
        try:
            async with asyncio.timeout(patience_s):
                chunk, _ = await self._content.readchunk()
        except TimeoutError:
            if self._content.exception() is not None:
                raise
            return False
        self.chunks.append(chunk)
        self.size += len(chunk)
        return True
