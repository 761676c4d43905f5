"""The product as a user starts it: `esm-gateway demo` in a process of its own, on a folder of its own."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 60
GONE_WITHIN_S = 30
# A port that was free when it was chosen may be another program's when it is used; then all is begun again.
STARTS = 3
PORT_TAKEN = "address already in use"


@dataclass(frozen=True, slots=True)
class Product:
    """A running gateway with its sandbox upstream; everything that it writes is in `folder`."""

    url: str
    key: str
    approved_key: str
    sandbox_url: str
    folder: Path

    def upstream(self) -> dict[str, Any]:
        """What the upstream has received until now."""
        with urllib.request.urlopen(f"{self.sandbox_url}/__sandbox/calls", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def written(self) -> str:
        """Its diagnostics, its access log and its audit record."""
        logs = [self.folder / "stderr.log", *sorted(self.folder.rglob("*.jsonl"))]
        return "\n".join(path.read_text("utf-8") for path in logs)

    def upstream_calls(self) -> int:
        return int(self.upstream()["total"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_line(process: subprocess.Popen[str]) -> str:
    lines: Queue[str] = Queue()
    out = process.stdout
    assert out is not None
    Thread(target=lambda: lines.put(out.readline()), daemon=True).start()
    try:
        return lines.get(timeout=READY_WITHIN_S)
    except Empty:
        return ""


def start(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """The process and what it said when it was ready; "" if it never was."""
    command = os.environ.get("SDK_TEST_GATEWAY", str(ROOT / ".venv" / "bin" / "esm-gateway"))
    arguments = ["demo", "--port", str(free_port()), "--data-dir", str(folder / "data"), "--json"]
    with (folder / "stderr.log").open("w") as stderr:
        process = subprocess.Popen(
            [command, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
            # Upstream calls are counted; hits that are computed again by chance would be more of them.
            env={"GATEWAY_CACHE__SPOT_CHECK_FRACTION": "0", **os.environ},
        )
    return process, first_line(process).strip()


@contextmanager
def running(folder: Path) -> Iterator[Product]:
    for _ in range(STARTS):
        process, line = start(folder)
        said = (folder / "stderr.log").read_text()
        if line or PORT_TAKEN not in said:
            break
        end(process)
    try:
        if not line:
            raise RuntimeError(f"the gateway did not start: {said[-2000:]}")
        told = json.loads(line)
        yield Product(told["url"], told["key"], told["approved_key"], told["sandbox_url"], folder)
    finally:
        left_with = end(process)
    if left_with != 0:
        raise RuntimeError(f"the gateway ended with status {left_with}")


def end(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(GONE_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
