"""Notice that a process has exited, child or not, without asking again and again."""

import asyncio
import os

# Where the kernel cannot tell (no pidfd, no descriptor left), whoever waits looks for itself this often.
UNTOLD_S = 0.5


async def wait_for_exit(pid: int) -> None:
    """Return when this process has exited. It may return early: the caller looks for itself then.

    Linux tells it through a descriptor of the process (pidfd_open(2)); a child that has exited and was not waited for
    counts as exited.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):
        await asyncio.sleep(UNTOLD_S)
        return
    loop = asyncio.get_running_loop()
    exited = asyncio.Event()
    try:
        loop.add_reader(descriptor, exited.set)
        await exited.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
