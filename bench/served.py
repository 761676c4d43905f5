"""The gateway as it is served, for the programs that judge answers rather than speed: any settings, many callers.

Like `bench.under_test` it starts `esm-gateway serve` on stores of its own and makes keys as an administrator makes
them. Settings are dotted names as in docs/settings.md.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.asking import Line, address_of, request
from bench.processes import ROOT, BrokenError, Child, command_line, descendants

AMPLE: Mapping[str, Any] = {
    "listen.port": 0,
    "listen.metrics_port": 0,
    "limits.default.requests_per_minute": 60_000_000,
    "limits.default.burst": 1_000_000,
    "limits.default.concurrent": 10_000,
    "limits.default.units_per_day": 10**12,
    # Hits that are computed again would be upstream calls beyond the distinct ones.
    "cache.spot_check_fraction": 0.0,
}
# Where stores are not the subject, a busy machine should not pass for a lost store.
PATIENT: Mapping[str, Any] = {"stores.cache_timeout_s": 5.0, "stores.state_timeout_s": 20.0, "cache.lease_s": 30.0}
ANY_KEY = "bench-upstream-key"


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that serves: its address, one virtual key for each user, and its workers."""

    child: Child
    keys: Sequence[str] = field(repr=False)

    @property
    def url(self) -> str:
        return self.child.url

    @property
    def workers(self) -> list[int]:
        return [pid for pid in descendants(self.child.pid) if " worker " in command_line(pid)]


@asynccontextmanager
async def serving(
    directory: Path, upstream_url: str, users: Sequence[str], settings: Mapping[str, Any]
) -> AsyncIterator[Served]:
    """A gateway in front of this upstream, everything of it under `directory`, gone with the block."""
    config = _write_config(directory, upstream_url, {**AMPLE, **settings})
    words = ("-m", "gateway", "serve", "--json", "--config", str(config))
    child = await Child.start(*words, log=directory / "gateway.log")
    try:
        yield Served(child, [await _create_key(config, user) for user in users])
    finally:
        await child.stop()


def _write_config(directory: Path, upstream_url: str, settings: Mapping[str, Any]) -> Path:
    key_file = directory / "upstream-key"
    key_file.touch(mode=0o600)
    key_file.write_text(ANY_KEY)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    config = directory / "gateway.toml"
    config.write_text(
        f'data_dir = "{directory / "data"}"\nupstream.url = "{upstream_url}"\n'
        f'upstream.keys = [{{id = "bench", file = "{key_file}"}}, '
        f'{{id = "bench-concern", file = "{key_file}", concern = true}}]\n' + "\n".join(lines) + "\n"
    )
    return config


async def _create_key(config: Path, user: str) -> str:
    words = ("-m", "gateway", "keys", "create", "--user", user, "--json", "--config", str(config))
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, err = await process.communicate()
    if process.returncode:
        raise BrokenError(f"no virtual key could be made: {err.decode()[-2000:]}")
    return str(json.loads(out)["key"])


def parsed_settings(texts: Sequence[str]) -> dict[str, Any]:
    """`name=value` with values as in JSON; what is no JSON is taken as text."""
    parted = (text.partition("=") for text in texts)
    return {name.strip(): _value(value.strip()) for name, _, value in parted}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


@asynccontextmanager
async def sandbox(directory: Path, *options: str) -> AsyncIterator["Sandbox"]:
    """The stand-in upstream in a process of its own; its answers carry the digest of their question."""
    words = ("-m", "gateway.sandbox", "--port", "0", "--question", "--lenient", *options)
    child = await Child.start(*words, log=directory / "sandbox.log")
    try:
        yield Sandbox(child)
    finally:
        await child.stop()


class Sandbox:
    """What the upstream says of the calls that it got."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def url(self) -> str:
        return self._child.url

    @property
    def pid(self) -> int:
        return self._child.pid

    async def calls(self, since: int = 10**12) -> dict[str, Any]:
        """Its counts since the last reset, and the last calls with an index above `since`."""
        return await self._read("GET", f"/__sandbox/calls?since={since}")

    async def reset(self) -> None:
        await self._read("DELETE", "/__sandbox/calls")

    async def _read(self, method: str, target: str) -> dict[str, Any]:
        async with AsyncExitStack() as stack:
            line = await Line.open(address_of(self.url))
            stack.callback(line.close)
            reply = await line.ask(request(self.url, target, method=method))
            if reply is None:
                raise BrokenError("the sandbox's log could not be read")
            answer: dict[str, Any] = json.loads(reply.body)
            return answer
