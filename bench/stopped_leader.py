"""`python -m bench.stopped_leader`: equal cold calls over several workers, and the one that computes stands still.

It is stopped (SIGSTOP) for longer than its lease, but for less than it takes to be replaced, and then goes on. Judged
from outside: the upstream's log says how often was computed, and the callers how long they waited: others than the
stopped worker's no longer than lease and computation after the stop, its own no longer than a moment after it went on.
Ends with 1 where that does not hold.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.processes import BrokenError, Child, command_line, descendants

BODY = {
    "model": "esm3-open-2024-03",
    "inputs": {"sequence": [0, 20, 32, 5, 32, 9, 2]},
    "track": "sequence",
    "num_steps": 1,
    "temperature": 0,
    "strategy": "entropy",
    "temperature_annealing": False,
}
LEASE_S = 1.0
"""A worker that stands still for 3.5 s is replaced (docs/operating.md), so its lease ends before."""
FIND_S = 20.0
# What a busy machine may need to hand out hundreds of answers.
BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class Called:
    """One caller: the status, and the moments in which he asked and was answered."""

    status: int
    asked: float
    answered: float


async def run(callers: int, workers: int, compute_s: float, stopped_s: float) -> dict[str, float]:
    """The figures of one run; seconds and counts."""
    with tempfile.TemporaryDirectory(prefix="esmgw-stopped-") as place:
        words = ("--port", "0", "--data-dir", f"{place}/demo", "--workers", str(workers), "--latency", str(compute_s))
        # Hits that are computed again would be upstream calls, too.
        only = {"GATEWAY_CACHE__SPOT_CHECK_FRACTION": "0", "GATEWAY_CACHE__LEASE_S": str(LEASE_S)}
        child = await Child.start("-m", "gateway", "demo", "--json", *words, log=Path(place) / "log", **only)
        try:
            # Every call has a connection of its own, so that the kernel spreads them over the workers.
            connector = aiohttp.TCPConnector(limit=callers + 8, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                return await _judge(child, session, callers, stopped_s)
        finally:
            await child.stop()


async def _judge(child: Child, session: aiohttp.ClientSession, callers: int, stopped_s: float) -> dict[str, float]:
    asking = [asyncio.ensure_future(_call(child, session)) for _ in range(callers)]
    leader = await _leader(child, session)
    os.kill(leader, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        await asyncio.sleep(stopped_s)
    finally:
        os.kill(leader, signal.SIGCONT)
    went_on = time.monotonic()
    called = await asyncio.gather(*asking)
    elsewhere = [call for call in called if call.answered < went_on]
    return {
        "callers": callers,
        "answered_200": sum(call.status == 200 for call in called),
        "upstream_calls": await _calls(child, session),
        "of_other_workers": len(elsewhere),
        "longest_wait_there_s": max((call.answered - call.asked for call in elsewhere), default=0.0),
        "after_the_stop_there_s": max((call.answered - stopped for call in elsewhere), default=0.0),
        "of_the_stopped_worker": len(called) - len(elsewhere),
        "after_it_went_on_s": max(call.answered for call in called) - went_on,
    }


async def _call(child: Child, session: aiohttp.ClientSession) -> Called:
    asked = time.monotonic()
    headers = {"Authorization": f"Bearer {child.ready['key']}"}
    async with session.post(f"{child.url}/api/v1/generate_tensor", json=BODY, headers=headers) as response:
        await response.read()
        return Called(response.status, asked, time.monotonic())


async def _calls(child: Child, session: aiohttp.ClientSession) -> int:
    async with session.get(f"{child.ready['sandbox_url']}/__sandbox/calls") as response:
        return int((await response.json())["total"])


async def _leader(child: Child, session: aiohttp.ClientSession) -> int:
    """The worker that holds a connection to the upstream, once there is a call."""
    deadline = time.monotonic() + FIND_S
    while not await _calls(child, session):
        if time.monotonic() > deadline:
            raise BrokenError("nobody asked the upstream")
        await asyncio.sleep(0.02)
    return _connected(child.pid, int(str(child.ready["sandbox_url"]).rsplit(":", 1)[1]))


def _connected(above: int, port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Remote port, state ESTABLISHED and inode (proc_pid_net(5)).
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[2].split(":")[1], 16) == port and row[3] == "01"}
    for pid in descendants(above):
        if " worker" in command_line(pid):
            held = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
            if held & inodes:
                return pid
    raise BrokenError("no worker talks to the upstream")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stopped_leader", description=__doc__)
    parser.add_argument("--callers", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--compute", type=float, default=1.0, help="seconds that the upstream takes")
    parser.add_argument("--stopped", type=float, default=3.0, help="seconds that the leader stands still")
    asked = parser.parse_args()
    figures = asyncio.run(run(asked.callers, asked.workers, asked.compute, asked.stopped))
    told = {"lease_s": LEASE_S, "compute_s": asked.compute, "stopped_s": asked.stopped, **figures}
    kept = (
        figures["answered_200"] == asked.callers
        and figures["upstream_calls"] <= 2
        and figures["after_the_stop_there_s"] <= LEASE_S + asked.compute + BUSY_S
        and figures["after_it_went_on_s"] <= BUSY_S
    )
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in told.items()}, indent=2) + "\n")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
