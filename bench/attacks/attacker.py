"""The attacker's process: `python -m bench.attacks.attacker`, which is told by lines of JSON on standard input.

First the order (attack, address, keys, workers); it answers when everything is prepared. Then the seconds that the
attack lasts; it answers with what it was told. It is nice to everybody else on the machine: on a small one its own CPU
would count as the gateway's.
"""

import asyncio
import gc
import os
import resource
import sys
from typing import Any

import orjson
import uvloop

from bench.attacks.attack import Attacker
from bench.attacks.catalogue import ATTACKS

NICE = 19


async def main() -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    order = orjson.loads(await lines.readline())
    attacker = Attacker(order["url"], order["keys"], order["workers"])
    sending = asyncio.create_task(_sent(order["attack"], attacker))
    await asyncio.wait({sending, asyncio.create_task(attacker.prepared.wait())}, return_when=asyncio.FIRST_COMPLETED)
    gc.collect()
    gc.freeze()
    _tell({"prepared": attacker.prepared.is_set(), "fault": _fault(sending)})
    seconds = float(await lines.readline())
    attacker.go.set()
    await asyncio.sleep(seconds)
    fault = _fault(sending)
    sending.cancel()
    await asyncio.wait({sending})
    _tell({"told": attacker.told, "problems": attacker.problems, "fault": fault})
    await lines.readline()


async def _sent(name: str, attacker: Attacker) -> None:
    await ATTACKS[name].send(attacker)


def _fault(task: asyncio.Task[None]) -> str:
    error = task.exception() if task.done() and not task.cancelled() else None
    return repr(error) if error is not None else ""


def _tell(value: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    os.nice(NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main())
