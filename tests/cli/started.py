"""A gateway started as a process of its own, and every process that came of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.cli.demo_text import BODY

PATIENCE_S = 40.0


class Started:
    """One `esm-gateway ...` and its descendants: known by a variable that they inherit; stores, which write over
    theirs, by the directory in which they run."""

    def __init__(self, *words: str) -> None:
        self.mark = f"STARTED_BY={uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"GATEWAY_CACHE__SPOT_CHECK_FRACTION": "0", **os.environ, name: value},
        )
        self.told: Mapping[str, Any] = {}
        self.home = words[words.index("--data-dir") + 1] if "--data-dir" in words else None

    def ready(self) -> "Started":
        """Once it has printed its JSON line."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise AssertionError(self.process.communicate(timeout=PATIENCE_S)[1].decode())
        self.told = json.loads(said)
        return self

    def tree(self) -> dict[int, str]:
        """Command lines of what lives, by process id."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self._ours(entry):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended meanwhile, or is another user's
        return {pid: words for pid, words in found.items() if words}

    def _ours(self, entry: Path) -> bool:
        stores = self.home is not None and os.readlink(entry / "cwd").startswith(self.home + "/")
        return stores or self.mark.encode() in (entry / "environ").read_bytes()

    def store(self, role: str) -> int | None:
        """The process id of an embedded store."""
        found = [pid for pid in self.those("valkey-server") if _directory(pid).endswith(role)]
        return found[0] if found else None

    def those(self, *parts: str) -> list[int]:
        return [pid for pid, words in self.tree().items() if all(part in words for part in parts)]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
        """Status, standard output and standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()

    def ask(self, key: str = "key", **changes: Any) -> tuple[int, Mapping[str, str], Any]:
        body = json.dumps({**BODY, **changes}).encode()
        headers = {"Authorization": f"Bearer {self.told[key]}", "Content-Type": "application/json"}
        return fetch(self.told["url"] + "/api/v1/generate_tensor", body, headers)


def _directory(pid: int) -> str:
    """Where a process runs; empty where it has just ended."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


@contextmanager
def started(*words: str) -> Iterator[Started]:
    """Until the block ends; whatever is left of it then is ended by force."""
    one = Started(*words)
    try:
        yield one
    finally:
        for pid in one.tree():
            os.kill(pid, signal.SIGKILL)
        one.process.communicate(timeout=PATIENCE_S)


def fetch(
    url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, dict(headers or {})), timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, dict(refusal.headers), refusal.read()


def until(fact: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not fact():
        assert time.monotonic() - began < patience_s, "it did not come true in time"
        time.sleep(0.02)
    return time.monotonic() - began
