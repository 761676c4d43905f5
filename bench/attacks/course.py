"""The course of one attack: a gateway as deployed, the watched user alone, then beside the attacker.

Attacker and watched user are processes that take their orders on standard input, so no key stands in an argument. The
upstream is nicer than the gateway, because in service it has a machine of its own.
"""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from bench.asking import Line, address_of, request
from bench.attacks.attack import ATTACKERS, SLOW, Attack
from bench.attacks.resources import Resources
from bench.processes import ROOT, BrokenError, end
from bench.served import Sandbox, Served, sandbox, serving

WATCHER: Final = "watcher"
APPROVED: Final = "carol"
USERS: Final = (WATCHER, *ATTACKERS, APPROVED)
REPLY_S: Final = 90.0
_UPSTREAM_NICE: Final = 5
_UPSTREAM_S: Final = 0.02
# What docs/settings.md says a gateway has by default; `bench.served` is more ample.
DEFAULT_LIMITS: Final[Mapping[str, Any]] = {
    "limits.default.requests_per_minute": 600,
    "limits.default.burst": 600,
    "limits.default.concurrent": 32,
    "limits.default.units_per_day": 2_000_000,
}
_AMPLE: Final = (
    ("requests_per_minute", 60_000_000),
    ("burst", 1_000_000),
    ("concurrent", 10_000),
    ("units_per_day", 10**12),
)
RAISED: Final[Mapping[str, Any]] = {
    **{f"limits.users.{user}.{name}": value for user in (WATCHER, APPROVED) for name, value in _AMPLE},
    f"limits.users.{SLOW}.requests_per_minute": 2,
    f"limits.users.{SLOW}.burst": 2,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds without and beside the attack, calls of each kind a second, workers and the MiB that one may take."""

    baseline_s: float
    seconds: float
    rate: float
    workers: int
    memory_mb: float


class Actor:
    """A process that takes a line of JSON and answers with one."""

    def __init__(self, process: Process, module: str) -> None:
        self._process, self._module = process, module

    @classmethod
    @asynccontextmanager
    async def started(cls, module: str, order: Mapping[str, Any]) -> AsyncIterator["Actor"]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, stdin=PIPE, stdout=PIPE, cwd=ROOT, limit=2**24
        )
        actor = cls(process, module)
        try:
            actor.tell(order)
            yield actor
        finally:
            await end(process)

    def tell(self, order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order) + b"\n")

    def kill(self) -> None:
        """Without a goodbye: the kernel ends its connections."""
        self._process.kill()

    async def hear(self, within_s: float = REPLY_S) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), within_s)
        if not line:
            raise BrokenError(f"{self._module} ended")
        heard: dict[str, Any] = orjson.loads(line)
        if heard.get("fault"):
            raise BrokenError(f"{self._module}: {heard['fault']}")
        return heard


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs beside the actors."""

    gateway: Served
    upstream: Sandbox
    directory: Path

    def key(self, user: str) -> str:
        return self.gateway.keys[USERS.index(user)]

    def attacker(self, attack: Attack, workers: int) -> Any:
        keys = {user: self.key(user) for user in (*ATTACKERS, APPROVED)}
        order = {"attack": attack.name, "url": self.gateway.url, "keys": keys, "workers": workers}
        return Actor.started("bench.attacks.attacker", order)

    def watcher(self, user: str = WATCHER, *, declared: bool = False) -> Any:
        order = {"url": self.gateway.url, "key": self.key(user), "declared": declared}
        return Actor.started("bench.attacks.watcher", order)

    @property
    def audit_file(self) -> Path:
        return self.directory / "data" / "audit" / "audit.jsonl"

    def audit_bytes(self) -> int:
        return self.audit_file.stat().st_size if self.audit_file.exists() else 0

    async def misbehave(self, rules: Sequence[Mapping[str, Any]], *, instead: bool = False) -> None:
        """Faults of the upstream from now on, beside or `instead` of those that it has."""
        body = orjson.dumps({"rules": [dict(rule) for rule in rules]})
        line = await Line.open(address_of(self.upstream.url))
        if instead:
            await line.ask(request(self.upstream.url, "/__sandbox/faults", method="DELETE"))
        reply = await line.ask(request(self.upstream.url, "/__sandbox/faults", body=body))
        line.close()
        if reply is None or reply.status != 200:
            raise BrokenError(f"the upstream takes no such fault: {reply and reply.body[:500]!r}")


@asynccontextmanager
async def staged(workers: int, settings: Mapping[str, Any]) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="esmgw-attacks-")))
        upstream = await stack.enter_async_context(sandbox(directory, "--latency", str(_UPSTREAM_S)))
        os.setpriority(os.PRIO_PROCESS, upstream.pid, _UPSTREAM_NICE)
        asked_for = {"listen.workers": workers, **DEFAULT_LIMITS, **RAISED, **settings}
        gateway = await stack.enter_async_context(serving(directory, upstream.url, USERS, asked_for))
        yield Stage(gateway, upstream, directory)


async def tried(attack: Attack, plan: Plan, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the watched user felt without and beside this attack, and what the workers took."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(staged(plan.workers, {**attack.settings, **settings}))
        watcher = await stack.enter_async_context(stage.watcher())
        attacker = await stack.enter_async_context(stage.attacker(attack, plan.workers))
        if not (await attacker.hear())["prepared"]:
            raise BrokenError(f"{attack.name} ended before it began")
        watcher.tell([plan.baseline_s, plan.rate])
        alone = await watcher.hear(plan.baseline_s + REPLY_S)
        await stage.upstream.reset()
        audit_bytes = stage.audit_bytes()
        await stage.misbehave(attack.rules)
        resources = Resources(stage.gateway)
        sampling = asyncio.create_task(resources.watching())
        attacker.tell(plan.seconds)
        watcher.tell([plan.seconds, plan.rate])
        beside = await watcher.hear(plan.seconds + REPLY_S)
        told = await attacker.hear(plan.seconds + REPLY_S)
        sampling.cancel()
        calls = await stage.upstream.calls()
        return {
            "attack": attack.name,
            "about": attack.about,
            "plan": asdict(plan),
            "alone": alone,
            "beside": beside,
            "attacker": {key: told[key] for key in ("told", "problems")},
            "attacker_upstream_calls": max(0, calls["total"] - beside["cold"]["statuses"].get("200", 0)),
            "audit_bytes": stage.audit_bytes() - audit_bytes,
            **resources.as_json(),
        }
