"""The smallest worker that the supervisor can start: tells every caller who it is. Started by test_supervisor.py."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from gateway.adapters import parent_watch
from gateway.adapters.heartbeat import start_beating


async def main(slot: int, listener: int, ready: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    under_way: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        directives = await reader.readline()
        if directives == b"deaf\n":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if directives == b"wait\n":
            writer.write(b"waiting at %d\n" % slot)
            await reader.readline()
        writer.write(json.dumps({"pid": os.getpid(), "slot": slot, "brief": BRIEF}).encode())
        writer.close()
        under_way.discard(task)

    server = await asyncio.start_server(answer, sock=socket.socket(fileno=listener))
    start_beating(ready, 0.05)
    await stop.wait()
    server.close()
    await asyncio.gather(*under_way)


if __name__ == "__main__":
    BRIEF = json.loads(parent_watch.read_settings_line())
    parent_watch.exit_with_parent(0.5)
    if Path(BRIEF["fail"]).exists():
        sys.exit(3)
    uvloop.run(main(*map(int, sys.argv[1:4])))
