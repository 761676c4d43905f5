"""One outcome for every request: what the metrics counted against what the access log tells, line by line."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from bench.asking import Line, address_of, request
from bench.attacks.course import Stage
from bench.processes import BrokenError

# 5xx problems that are nobody's fault but the gateway's.
OWN: Final = frozenset({"internal", "state-unavailable", "audit-unavailable"})
_REQUESTS: Final = re.compile(rb'^esmgw_requests_total\{[^}]*outcome="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE)
_IN_FLIGHT: Final = re.compile(rb"^esmgw_in_flight\{[^}]*\} (\S+)$", re.MULTILINE)
_LOG_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Requests that the metrics counted, that the access log has, that it has twice; in flight; own 5xx."""

    counted: float
    logged: int
    logged_twice: int
    dropped_lines: int
    in_flight: float
    own_faults: float


async def outcomes(stage: Stage) -> Outcomes:
    """At a moment at which nobody asks."""
    await asyncio.sleep(_LOG_S)  # the log is written every tenth of a second
    text = await _metrics(str(stage.gateway.child.ready["metrics_url"]))
    by_outcome: Counter[str] = Counter()
    for outcome, count in _REQUESTS.findall(text):
        by_outcome[outcome.decode()] += float(count)  # type: ignore[assignment]
    ids, dropped = await asyncio.to_thread(logged_requests, stage.directory / "gateway.log")
    return Outcomes(
        counted=sum(by_outcome.values()),
        logged=ids.total(),
        logged_twice=sum(count > 1 for count in ids.values()),
        dropped_lines=dropped,
        in_flight=sum(float(count) for count in _IN_FLIGHT.findall(text)),
        own_faults=sum(by_outcome[name] for name in OWN),
    )


async def _metrics(url: str) -> bytes:
    line = await Line.open(address_of(url))
    reply = await line.ask(request(url, "/metrics", method="GET"))
    line.close()
    if reply is None or reply.status != 200:
        raise BrokenError("the metrics could not be read")
    return reply.body


def logged_requests(log: Path) -> tuple[Counter[str], int]:
    """How often each request stands in the access log, and how many lines it says it left out."""
    ids: Counter[str] = Counter()
    dropped = 0
    with log.open("rb") as lines:
        for text in lines:
            line = orjson.loads(text) if text.startswith(b"{") else {}
            dropped += line.get("dropped_lines", 0)
            if "request" in line:
                ids[line["request"]] += 1
    return ids, dropped
