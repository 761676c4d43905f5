"""Keeps the servers beside the workers running, such as the embedded stores: each is started again when it exits.

An exit is noticed at once, by the process itself. A look every few seconds finds what no exit tells: a server that was
replaced by another gateway, and a log that has grown.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.1, 5.0
LOOK_S = 5.0
Report = Callable[[str], None]


class ManagedServer(Protocol):
    """A server beside the workers."""

    @property
    def role(self) -> str: ...
    @property
    def pid(self) -> int: ...
    async def ensure(self) -> bool:
        """Restart it if it has died; returns whether that was needed."""
        ...

    async def wait_exited(self) -> None:
        """Return when it may have exited; `ensure` decides."""
        ...


async def keep_running(server: ManagedServer, stopping: asyncio.Event, report: Report) -> None:
    """Until `stopping`. A server that cannot be restarted stops nobody: the workers answer 503 meanwhile."""
    backoff_s = FIRST_BACKOFF_S
    told = False
    while not stopping.is_set():
        try:
            restarted = await server.ensure()
        except Exception as error:
            backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s)
            report(f"the {server.role} server cannot be restarted, next attempt in {backoff_s:g} s: {error}")
            await wait_up_to(backoff_s, stopping)
            continue
        if restarted:
            report(f"the {server.role} server had exited and was restarted (process {server.pid})")
        elif told:
            # It was said to have exited and has not: its process id is of no use here (another namespace of processes).
            await wait_up_to(backoff_s, stopping)
        backoff_s = min(MAX_BACKOFF_S, 2 * backoff_s) if told and not restarted else FIRST_BACKOFF_S
        told = await _exits_within(LOOK_S, server, stopping)


async def _exits_within(seconds: float, server: ManagedServer, stopping: asyncio.Event) -> bool:
    """Whether the server may have exited within that time; False as soon as `stopping`."""
    exited, stopped = asyncio.ensure_future(server.wait_exited()), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((exited, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return exited.done()
    finally:
        await cancel_all(exited, stopped)


async def wait_up_to(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event, no longer than that."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def cancel_all(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel them and wait until they have ended; what they raise is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
