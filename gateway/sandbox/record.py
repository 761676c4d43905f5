"""What the upstream saw: how many calls, how many at once, what they cost, and the last of them as received.

Tests judge the gateway by it: a call that is not here was never sent. A call is entered when it has been read, before
its work begins, so a caller who hangs up is in it. Of credentials only the last four characters are recorded.
"""

import hashlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

KEPT_CALLS: Final = 200
KEPT_BYTES: Final = 32 * 1024 * 1024
"""Bodies beyond this total are let go, the oldest first; their digests stay."""


@dataclass(slots=True)
class Entry:
    """One call as received; `status` is what it was answered with, None while it is in flight or if it was dropped.

    `began` and `ended` are seconds of this machine's monotonic clock; `ended` is None while it is in flight.
    """

    index: int
    endpoint: str
    target: str
    key: str
    headers: dict[str, str]
    body: bytes | None = field(repr=False)
    body_sha256: str
    body_bytes: int
    status: int | None = None
    units: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    tally: "_Tally | None" = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        names = ("index", "endpoint", "target", "key", "headers", "body_sha256", "body_bytes", "status", "units")
        times = ("began", "ended")
        return {**{name: getattr(self, name) for name in (*names, *times)}, "body": _parsed(self.body)}


@dataclass(slots=True)
class _Tally:
    """Counts since the last reset. Entries point at their own, so late work never counts towards a later one."""

    total: int = 0
    max_concurrent: int = 0
    units: int = 0
    by_endpoint: dict[str, int] = field(default_factory=dict)


class CallLog:
    """The counts and the last calls. Every `begin` is followed by one `end`."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._tally = _Tally()
        self._last: deque[Entry] = deque(maxlen=KEPT_CALLS)
        self._with_body: deque[Entry] = deque()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"CallLog(total={self._tally.total}, in_flight={self._in_flight}, units={self._tally.units})"

    def begin(self, endpoint: str, target: str, headers: Mapping[str, str], body: bytes) -> Entry:
        tally = self._tally
        self._in_flight += 1
        tally.total += 1
        tally.max_concurrent = max(tally.max_concurrent, self._in_flight)
        tally.by_endpoint[endpoint] = tally.by_endpoint.get(endpoint, 0) + 1
        entry = Entry(
            index=tally.total,
            endpoint=endpoint,
            target=target,
            key=_last_four(credential(headers)),
            headers=_without_secrets(headers),
            body=body,
            body_sha256=hashlib.sha256(body).hexdigest(),
            body_bytes=len(body),
            tally=tally,
        )
        self._keep(entry)
        return entry

    def work_done(self, entry: Entry, units: int) -> None:
        entry.units = units
        if entry.tally is not None:
            entry.tally.units += units

    def end(self, entry: Entry | None = None) -> None:
        self._in_flight -= 1
        if entry is not None:
            entry.ended = time.monotonic()

    def reset(self) -> None:
        """Reset everything to zero. In-flight calls remain in flight; their cost is not counted."""
        self._tally = _Tally(max_concurrent=self._in_flight)
        self._last.clear()
        self._with_body.clear()
        self._bytes = 0

    def as_json(self, since: int = 0) -> dict[str, Any]:
        tally = self._tally
        return {
            "total": tally.total,
            "by_endpoint": tally.by_endpoint,
            "max_concurrent": tally.max_concurrent,
            "in_flight": self._in_flight,
            "units": tally.units,
            "last": [entry.as_json() for entry in self._last if entry.index > since],
        }

    def _keep(self, entry: Entry) -> None:
        self._last.append(entry)
        self._with_body.append(entry)
        self._bytes += entry.body_bytes
        while len(self._with_body) > KEPT_CALLS or (self._bytes > KEPT_BYTES and len(self._with_body) > 1):
            oldest = self._with_body.popleft()
            self._bytes -= oldest.body_bytes
            oldest.body = None


def credential(headers: Mapping[str, str]) -> str:
    """The upstream key of a bearer authorization; empty without one."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _last_four(key: str) -> str:
    """Enough to tell upstream keys apart. Of a key so short that this would be most of it, a digest."""
    if len(key) >= 8:
        return key[-4:]
    return hashlib.sha256(key.encode()).hexdigest()[:8] if key else ""


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    # aiohttp hands out header names of a type of its own, which JSON writers refuse.
    recorded = {str(name): value for name, value in headers.items() if name.lower() != "authorization"}
    if "Authorization" in headers:
        recorded["Authorization"] = f"…{_last_four(credential(headers))}"
    return recorded


def _parsed(body: bytes | None) -> Any:
    try:
        return orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
