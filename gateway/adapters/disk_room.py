"""Whether the disks that this instance writes to are full, looked at beside the event loop: a disk may hang."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

LOOK_EVERY_S = 2.0
LEAST_BYTES = 65_536
"""An append-only file and an audit record need a few kB at a time."""


class DiskRoom:
    """`full` as of the last look; a path that is not there yet counts by its nearest parent."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self.full = False

    async def forever(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        while True:
            self.full = await asyncio.to_thread(self._look)
            await sleep(LOOK_EVERY_S)

    def _look(self) -> bool:
        return any(free_bytes(path) < LEAST_BYTES for path in self._paths)


def free_bytes(path: Path) -> int:
    """What this process may still write there; a path that cannot be looked at is not called full."""
    for at in (path, *path.parents):
        try:
            found = os.statvfs(at)
        except FileNotFoundError:
            continue
        except OSError:
            break
        # Reserved blocks are the superuser's.
        return found.f_frsize * (found.f_bfree if os.geteuid() == 0 else found.f_bavail)
    return LEAST_BYTES
