"""`python -m bench.loop_stalls`: what hits feel while something large passes the same worker.

One worker with the sandbox behind it answers 50 hits a second of one caller, and meanwhile, one after the other, the
large bodies and answers of another, sent by a process of its own. For each kind: the latency of the hits, the most
memory that the worker had, its reader process apart, and how long the large ones took. Figures, no judgement: on a
busy machine the first row, with nothing large, says how much of it is noise.
"""

import argparse
import asyncio
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bench.processes import ROOT, Child
from bench.under_test import Gateway, start_gateway

MODEL, ESMC = "esm3-open-2024-03", "esm3-open-2024-03"
HIT = {"model": MODEL, "inputs": {"sequence": [0, 20, 32, 5, 2]}, "track": "sequence", "num_steps": 1}
EXACT = {"temperature": 0, "strategy": "entropy", "temperature_annealing": False}
HITS_A_SECOND = 50
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Large:
    """A kind of large request: its endpoint, its body, and what the upstream is told to do with it."""

    endpoint: str
    body: bytes
    fault: Mapping[str, object] | None = None


def logits(number: int = 0) -> bytes:
    inputs = {"sequence": [0, 20, 5, number % 30, 2]}
    return json.dumps({"model": ESMC, "inputs": inputs, "logits_config": {"sequence": True}}).encode()


def tensor(inputs: bytes, more: str = "") -> bytes:
    return b'{"model":"%b","track":"sequence","num_steps":1,%b"inputs":{%b}}' % (
        MODEL.encode(),
        more.encode(),
        inputs,
    )


def coordinates(residues: int, digits: int) -> bytes:
    atom = b"[%b,%b,null]" % ((b"-12." + b"3" * digits,) * 2)
    sequence = b'"sequence":[0,%b,2]' % b",".join([b"32"] * (residues - 2))
    row = b"[%b]" % b",".join([atom] * 37)
    return tensor(sequence + b',"coordinates":[%b]' % b",".join([row] * residues))


def kinds() -> Mapping[str, Large | None]:
    numbers = '{"logits":{"sequence":[' + "0.12345," * (4 * MEGABYTE + MEGABYTE // 2) + "1]}}"
    exact = ",".join(f'"{name}":{json.dumps(value)}' for name, value in EXACT.items()) + ","
    return {
        "nothing": None,
        "answer of 36 MB, one text": Large(
            "logits", logits(1), {"endpoint": "logits", "body": '{"logits":[1],"note":"' + "x" * 36 * MEGABYTE + '"}'}
        ),
        "answer of 36 MB, numbers": Large("logits", logits(2), {"endpoint": "logits", "body": numbers}),
        "answer of 14 MB, stored": Large(
            "generate_tensor",
            tensor(b'"sequence":[0,20,32,7,2]', exact),
            {"endpoint": "generate_tensor", "pad_bytes": 14 * MEGABYTE, "latency_s": 0},
        ),
        "body of 8 MB, wrong ids": Large(
            "generate_tensor", tensor(b'"sequence":[%b]' % b",".join([b"99"] * (8 * MEGABYTE // 3)))
        ),
        "body of 8 MB, unknown members": Large(
            "generate_tensor", tensor(b",".join(b'"a%07d":1' % i for i in range(8 * MEGABYTE // 12)))
        ),
        "body of 0.5 MB, coordinates": Large("generate_tensor", coordinates(258, 14)),
        "body of 30 MB, coordinates": Large("generate_tensor", coordinates(4096, 92)),
    }


async def main(seconds: float, only: str) -> None:
    print(f"{'beside the hits':32}{'p50 ms':>8}{'p99 ms':>8}{'max ms':>8}{'MiB':>7}{'sent':>6}{'s each':>8}  statuses")
    with tempfile.TemporaryDirectory(prefix="esmgw-stalls-") as place:
        directory = Path(place)
        sandbox = await Child.start("-m", "gateway.sandbox", "--port", "0", log=directory / "sandbox.log")
        gateway = await start_gateway(directory, sandbox.url)
        try:
            for name, large in kinds().items():
                if only in name or large is None:
                    await one(name, large, gateway, sandbox.url, seconds, directory)
        finally:
            await gateway.child.stop()
            await sandbox.stop()


async def one(name: str, large: Large | None, gateway: Gateway, sandbox: str, seconds: float, directory: Path) -> None:
    await hits(gateway, 1.0)
    worker = gateway.pids["worker"]
    forget_most(worker)
    sending = None
    async with aiohttp.ClientSession() as session:
        await session.delete(f"{sandbox}/__sandbox/faults")
        if large is not None and large.fault is not None:
            await session.post(f"{sandbox}/__sandbox/faults", json={"rules": [large.fault]})
    if large is not None:
        (directory / "body").write_bytes(large.body)
        words = ("send", gateway.url, gateway.key, large.endpoint, str(directory / "body"), str(seconds))
        sending = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.loop_stalls", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
    took = sorted(await hits(gateway, seconds))
    sent = {"each": [], "statuses": []} if sending is None else json.loads((await sending.communicate())[0])
    each = sum(sent["each"]) / len(sent["each"]) if sent["each"] else 0.0
    figures = (took[len(took) // 2], took[int(len(took) * 0.99)], took[-1])
    told = "".join(f"{1000 * figure:8.2f}" for figure in figures)
    statuses = sorted(set(sent["statuses"]))
    print(f"{name:32}{told}{most_memory(worker):7}{len(sent['each']):6}{each:8.2f}  {statuses}", flush=True)


def forget_most(pid: int) -> None:
    """Begin anew with the most memory that a process has had (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def most_memory(pid: int) -> int:
    """The most memory that it has had since, in MiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) // 1024


async def hits(gateway: Gateway, seconds: float) -> list[float]:
    """Latencies of hits at a steady pace; one that is late does not put off those after it."""
    took: list[float] = []
    body = json.dumps({**HIT, **EXACT}).encode()

    async def ask(session: aiohttp.ClientSession, due: float) -> None:
        headers = {**gateway.headers, "Content-Type": "application/json"}
        async with session.post(f"{gateway.url}/api/v1/generate_tensor", data=body, headers=headers) as response:
            await response.read()
            assert response.status == 200, response.status
        took.append(time.perf_counter() - due)

    async with aiohttp.ClientSession() as session:
        await ask(session, time.perf_counter())
        took.clear()
        begin, asked = time.perf_counter(), []
        for number in range(int(seconds * HITS_A_SECOND)):
            due = begin + number / HITS_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            asked.append(asyncio.ensure_future(ask(session, time.perf_counter())))
        await asyncio.gather(*asked)
    return took


def send(url: str, key: str, endpoint: str, file: str, seconds: str) -> None:
    """The process that sends the large ones, one after the other, with a pause; prints what became of them."""
    place, body = urlsplit(url), Path(file).read_bytes()
    each: list[float] = []
    statuses: list[int] = []
    ends = time.perf_counter() + float(seconds) - 0.5
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Cache-Control": "no-cache"}
    while time.perf_counter() < ends:
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=120)
        began = time.perf_counter()
        connection.request("POST", f"/api/v1/{endpoint}", body, headers)
        response = connection.getresponse()
        response.read()
        each.append(time.perf_counter() - began)
        statuses.append(response.status)
        connection.close()
        time.sleep(0.2)
    print(json.dumps({"each": each, "statuses": statuses}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--seconds", type=float, default=6.0, help="For each kind.")
        parser.add_argument("--only", default="", help="Kinds with this in their name.")
        asked = parser.parse_args()
        asyncio.run(main(asked.seconds, asked.only))
