"""The real clock: wall time, time that only grows, waiting, and unpredictable bytes from the operating system.

It decides nothing. Stores have clocks of their own: quotas are counted by the time of the state store.
"""

import asyncio
import os
import time


class SystemClock:
    """`ports.Clock` on this machine."""

    __slots__ = ()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def token(self, n_bytes: int) -> bytes:
        return os.urandom(n_bytes)
