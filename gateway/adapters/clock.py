"""The system's clock: wall time, monotonic time, sleep, and random bytes from the operating system.

Quotas are counted by the clock of the state store instead.
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
