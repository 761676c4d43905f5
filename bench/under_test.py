"""The gateway as it is served, for one run: `esm-gateway serve` with one worker on embedded stores of its own.

Limits are ample but are counted, the access log is written and metrics are kept, as in service. Nothing is tuned.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ROOT, BrokenError, Child, command_line, descendants

CONFIG = """\
data_dir = "{data}"
[listen]
port = 0
metrics_port = 0
[upstream]
url = "{upstream}"
[[upstream.keys]]
id = "bench"
file = "{key_file}"
[limits.default]
requests_per_minute = 60000000
burst = 1000000
concurrent = 1000
units_per_day = 1000000000000
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that serves: its address, a virtual key, and its processes by role."""

    child: Child
    key: str
    pids: Mapping[str, int]

    @property
    def url(self) -> str:
        return self.child.url

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


async def start_gateway(directory: Path, upstream_url: str) -> Gateway:
    """Everything of it lives under `directory`."""
    config = write_config(directory, upstream_url)
    child = await Child.start(
        "-m", "gateway", "serve", "--json", "--config", str(config), log=directory / "gateway.log"
    )
    try:
        return Gateway(child, await create_key(config), _roles(child.pid))
    except BaseException:
        await child.stop()
        raise


def write_config(directory: Path, upstream_url: str) -> Path:
    """The settings of a gateway whose everything lives under `directory`."""
    key_file = directory / "upstream-key"
    key_file.touch(mode=0o600)
    key_file.write_text("bench-upstream-key")
    config = directory / "gateway.toml"
    config.write_text(CONFIG.format(data=directory / "data", upstream=upstream_url, key_file=key_file))
    return config


async def create_key(config: Path) -> str:
    """A virtual key, made as an administrator makes one."""
    words = ("-m", "gateway", "keys", "create", "--user", "bench", "--json", "--config", str(config))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, err = await process.communicate()
    if process.returncode:
        raise BrokenError(f"no virtual key could be made: {err.decode()[-2000:]}")
    return str(json.loads(out)["key"])


def _roles(pid: int) -> dict[str, int]:
    """worker, state and cache: which process of the gateway is which, told by how it was started."""
    roles: dict[str, int] = {}
    for below in descendants(pid):
        words = command_line(below)
        home = os.path.basename(os.readlink(f"/proc/{below}/cwd"))
        if " worker " in words:
            roles["worker"] = below
        elif home in ("state", "cache"):
            roles[home] = below
    if len(roles) != 3:
        raise BrokenError(f"a worker and two stores were expected, found: {', '.join(sorted(roles))}")
    return roles
