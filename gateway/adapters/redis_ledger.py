"""Quotas in the state store: each decision is one script, on all limits of a request together, in one round trip.

The scripts are in `lua/`. Time is the store's own, so machines need not agree on theirs. All keys of a user
(`esmgw:{u:<user>}:...`) have one hash tag, so a cluster has them on one node, and every key expires by TTL. A lost
store, or a damaged counter, is `StoreUnavailable`: nothing here guesses what it would have decided.
"""

from collections.abc import Callable, Sequence

from gateway.adapters.redis_connect import RedisStore, Word, as_stored, load_script
from gateway.core.quota import Limit, LimitStatus, Reservation, Verdict
from gateway.ports import Usage

# How long a settled reservation refuses late duplicates, and how long an open one outlives its lease.
SETTLED_MS = 3_600_000
OPEN_MARGIN_MS = 3_600_000
US = 1_000_000


class RedisLedger:
    """`ports.Ledger`. `now` (seconds since the epoch) overrides the store's clock, for tests."""

    def __init__(self, store: RedisStore, *, prefix: str = "esmgw:", now: Callable[[], float] | None = None) -> None:
        self._store = store
        self._prefix = prefix
        self._now = now
        self._charge_rate = load_script("charge_rate")
        self._return_rate = load_script("return_rate")
        self._reserve = load_script("reserve")
        self._settle = load_script("settle")
        self._usage = load_script("usage")

    async def charge_rate(self, subject: str, limits: tuple[Limit, ...], in_advance: int) -> Verdict:
        if not limits:
            return Verdict(None, 0.0, (), 1 + in_advance)
        words: list[Word] = [self._time(), in_advance]
        for limit in limits:
            words += _interval(limit), _burst(limit)
        keys = self._keys(subject, limits)
        row: list[int] = await self._store.run("charge_rate", self._charge_rate, keys, words)
        with as_stored("charge_rate"):
            _check(row)
            statuses = _statuses(limits, row[4:], US)
            refused = limits[row[0] - 1] if row[0] else None
            return Verdict(refused, row[1] / US, statuses, row[2], charged_at=row[3])

    async def return_rate(self, subject: str, limits: tuple[Limit, ...], count: int, charged_at: int) -> None:
        if not limits or count <= 0:
            return
        words: list[Word] = [self._time(), count, charged_at, *map(_interval, limits)]
        await self._store.run("return_rate", self._return_rate, self._keys(subject, limits), words)

    async def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        limits, lease_ms = reservation.limits, round(lease_s * 1000)
        if not limits:
            return Verdict(None, 0.0, ())
        words: list[Word] = [self._time(), reservation.reservation_id, reservation.units]
        words += lease_ms, lease_ms + OPEN_MARGIN_MS
        for limit in limits:
            words += limit.kind[0], limit.amount, limit.window_s * 1000
        row: list[int] = await self._store.run("reserve", self._reserve, self._record_keys(reservation), words)
        with as_stored("reserve"):
            _check(row)
            refused = limits[row[0] - 1] if row[0] else None
            return Verdict(refused, row[1] / 1000, _statuses(limits, row[2:], 1000), 0 if row[0] else 1)

    async def settle(self, reservation: Reservation, units: int) -> None:
        if not reservation.limits:
            return
        words: list[Word] = [reservation.reservation_id, units, SETTLED_MS]
        words += [limit.kind[0] for limit in reservation.limits]
        await self._store.run("settle", self._settle, self._record_keys(reservation), words)

    async def usage(self, subject: str, limits: tuple[Limit, ...]) -> Sequence[Usage]:
        if not limits:
            return ()
        words: list[Word] = [self._time()]
        for limit in limits:
            rate = limit.kind == "rate"
            words += limit.kind[0], _interval(limit) if rate else limit.window_s * 1000
            words.append(_burst(limit) if rate else limit.amount)
        row: list[int] = await self._store.run("usage", self._usage, self._keys(subject, limits), words)
        with as_stored("usage"):
            _check(row)
            return tuple(Usage(limit, used) for limit, used in zip(limits, row, strict=True))

    def _time(self) -> Word:
        return "" if self._now is None else round(self._now() * 1000)

    def _tag(self, subject: str) -> str:
        # The hash tag is the text within the first braces: never empty, whatever the user's name.
        return f"{self._prefix}{{u:{subject}}}:"

    def _keys(self, subject: str, limits: tuple[Limit, ...]) -> list[str]:
        tag = self._tag(subject)
        return [f"{tag}{limit.name}:{limit.holder}" for limit in limits]

    def _record_keys(self, reservation: Reservation) -> list[str]:
        record = f"{self._tag(reservation.subject)}reservation:{reservation.reservation_id}"
        return [record, *self._keys(reservation.subject, reservation.limits)]


def _check(row: Sequence[int]) -> None:
    """ValueError for a number below 0, as a script answers that was given no number that fits (infinity, 1e300)."""
    if min(row) < 0:
        raise ValueError


def _interval(limit: Limit) -> int:
    """Microseconds between two requests at the sustained rate; rounded up, so never more than the amount."""
    return -(-limit.window_s * US // max(1, limit.amount))


def _burst(limit: Limit) -> int:
    """Requests at once; an amount of 0 admits none at all."""
    return limit.burst if limit.amount > 0 else 0


def _statuses(limits: tuple[Limit, ...], row: Sequence[int], unit: int) -> tuple[LimitStatus, ...]:
    return tuple(LimitStatus(limit, row[2 * i], row[2 * i + 1] / unit) for i, limit in enumerate(limits))
