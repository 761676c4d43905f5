"""An outage that does not pass: is it told as one, is the upstream spared, and is it over when it is over?

People who ask one cold call after the other, without the SDK's retries: a lab of one, then of several. The upstream
fails for a minute. After a while refusals must be 503 `upstream-unavailable`, which the SDK's batches do not try again;
the upstream must see few calls meanwhile; and soon after its end everybody must be served.
"""

import asyncio
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.asking import Line, LostError, Reply, address_of, request
from bench.batches_client import LOST, said
from bench.batches_upstream import AT_ONCE_S, Rule, happening, tensor
from bench.served import PATIENT, Served, sandbox, serving

UNAVAILABLE: Final = "upstream-unavailable"
FAILED: Final = "upstream-failed"
# What the upstream may see of an outage, by worker: what opens the circuits, and probes.
FIRST_CALLS, CALLS_PER_S = 20, 0.5
RECOVERS_S: Final = 12.0
KINDS: Final[Mapping[str, Rule]] = {
    "502": {"status": 502, "latency_s": AT_ONCE_S},
    "dropped": {"drop": "before_work", "latency_s": AT_ONCE_S},
}
_SECONDS = re.compile(r"\d+ s\b")


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds of good service, of the outage, and of what is watched afterwards. From `while_s` after its beginning
    refusals must be final ones."""

    outage_s: float = 60.0
    before_s: float = 2.0
    after_s: float = 15.0
    while_s: float = 20.0
    users: Sequence[int] = (1, 4)
    kinds: Sequence[str] = tuple(KINDS)
    workers: int = 2
    callers: int = 4
    pause_s: float = 0.25
    latency_s: float = 0.1


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: when it was asked and answered (monotonic), its status (0: lost), what refused it, and whether the
    refusal says seconds in words."""

    asked: float
    at: float
    status: int
    said: str
    tells_seconds: bool


async def measured(plan: Plan, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [await _one(plan, kind, users, settings) for users in plan.users for kind in plan.kinds]


async def _one(plan: Plan, kind: str, users: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="esmgw-outage-") as place:
        directory = Path(place)
        names = [f"person-{number}" for number in range(users)]
        asked_for = {**PATIENT, "listen.workers": plan.workers, **settings}
        async with (
            sandbox(directory, "--latency", str(plan.latency_s)) as upstream,
            serving(directory, upstream.url, names, asked_for) as gateway,
        ):
            lab = Lab(gateway, plan)
            asking = asyncio.create_task(lab.ask())
            await asyncio.sleep(plan.before_s)
            began, before = time.monotonic(), (await upstream.calls())["total"]
            async with happening(upstream.url, [KINDS[kind]], 0):
                await asyncio.sleep(plan.outage_s)
                during = (await upstream.calls())["total"] - before
            ended = time.monotonic()
            await asyncio.sleep(plan.after_s)
            lab.stopped = True
            await asking
            return {"users": users, "kind": kind, **judged(plan, lab.seen, began, ended, during)}


class Lab:
    """Its people, each with a few callers at once."""

    def __init__(self, gateway: Served, plan: Plan) -> None:
        self._gateway, self._plan = gateway, plan
        self._next = 0
        self.seen: list[Answered] = []
        self.stopped = False

    async def ask(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key in self._gateway.keys:
                for _ in range(self._plan.callers):
                    group.create_task(self._caller(key))

    async def _caller(self, key: str) -> None:
        line: Line | None = None
        while not self.stopped:
            if line is None or line.closed:
                line = await Line.open(address_of(self._gateway.url))
            self._next += 1
            task, asked = tensor(self._next), time.monotonic()
            reply: Reply | None = None
            try:
                reply = await line.ask(request(self._gateway.url, task.target, key, task.body))
            except LostError:
                line.close()
            self.seen.append(_answered(asked, reply))
            await asyncio.sleep(self._plan.pause_s)
        if line is not None:
            line.close()


def _answered(asked: float, reply: Reply | None) -> Answered:
    status = 0 if reply is None else reply.status
    in_words = reply is not None and status != 200 and _SECONDS.search(reply.body.decode(errors="replace")) is not None
    return Answered(asked, time.monotonic(), status, "" if status == 200 else said(reply), in_words)


def judged(plan: Plan, seen: Sequence[Answered], began: float, ended: float, calls: int) -> dict[str, Any]:
    """What was seen of an outage between these moments; seconds count from its beginning, or from its end."""
    during = [each for each in seen if began <= each.at < ended]
    refused = [each for each in during if each.status != 200]
    # Whoever's call was the probe is told what became of it; everybody else, that the upstream is down.
    late = [each for each in refused if each.at >= began + plan.while_s and each.said != FAILED]
    final = [each.at for each in refused if each.said == UNAVAILABLE]
    after = [each for each in seen if each.at >= ended]
    bad = [each.at for each in after if each.status != 200]
    good = [each.at for each in after if each.status == 200]
    return {
        "plan": asdict(plan),
        "said_before": dict(Counter(each.said or "200" for each in seen if each.at < began)),
        "said_during": dict(Counter(each.said or "200" for each in during)),
        "lost": sum(each.said == LOST for each in seen),
        "opened_s": round(min(final) - began, 1) if final else None,
        "final_share": round(sum(each.said == UNAVAILABLE for each in late) / len(late), 3) if late else None,
        "tells_seconds": round(sum(each.tells_seconds for each in refused) / len(refused), 3) if refused else None,
        "upstream_calls": calls,
        "failures_told": sum(each.said == FAILED for each in refused),
        "calls_allowed": round(plan.workers * (FIRST_CALLS + CALLS_PER_S * plan.outage_s)),
        "first_good_s": round(min(good) - ended, 1) if good else None,
        "recovered_s": round(max(bad, default=ended) - ended, 1),
    }


def faults(row: Mapping[str, Any]) -> list[str]:
    """What did not hold, in words; nothing where all did."""
    found = []
    if row["final_share"] is not None and row["final_share"] < 0.9:
        found.append(f"{row['final_share']:.0%} of late refusals are {UNAVAILABLE}")
    if row["failures_told"] > row["upstream_calls"]:
        found.append("failures were told of calls that nobody sent")
    if row["upstream_calls"] > row["calls_allowed"]:
        found.append("the upstream was not spared")
    if row["first_good_s"] is None or row["recovered_s"] > RECOVERS_S:
        found.append(f"not over {RECOVERS_S:g} s after its end")
    if set(row["said_before"]) != {"200"}:
        found.append("refused before it began")
    if row["lost"]:
        found.append("connections were lost")
    return found


def holds(row: Mapping[str, Any]) -> bool:
    return not faults(row)


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    seconds = rows[0]["plan"]["outage_s"]
    head = (
        f"{'503 after':>10}{'late 503s':>10}{'in words':>10}{'calls':>7}{'allowed':>8}{'good after':>11}{'all good':>9}"
    )
    return "\n".join([f"{f'{seconds:g} s outage':20}{'users':>6}{head}", *map(_line, rows)])


def _line(row: Mapping[str, Any]) -> str:
    def shown(name: str, unit: str = " s") -> str:
        return "never" if row[name] is None else f"{row[name]:g}{unit}"

    def share(name: str) -> str:
        return "-" if row[name] is None else f"{row[name]:.0%}"

    said_during = ", ".join(f"{name} {count:,}" for name, count in sorted(row["said_during"].items()))
    return (
        f"{row['kind']:20}{row['users']:>6}{shown('opened_s'):>10}{share('final_share'):>10}"
        f"{share('tells_seconds'):>10}{row['upstream_calls']:>7}{row['calls_allowed']:>8}"
        f"{shown('first_good_s'):>11}{shown('recovered_s'):>9}  {'; '.join(faults(row)) or 'held'} ({said_during})"
    )
