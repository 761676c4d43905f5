"""Quotas in this process's memory, by the same rules as the scripts in `lua/`: for tests and for reading.

It is the plain statement of what the scripts do, and the contract suite holds the two to each other. It forgets
everything when the process ends and is shared with nobody, so the gateway never runs on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.core.quota import Limit, LimitStatus, Reservation, Verdict
from gateway.ports import Usage

US = 1_000_000
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Record:
    state: str
    units: int = 0
    periods: dict[Key, int] = field(default_factory=dict)


@dataclass(slots=True)
class Counters:
    """What has been counted: theoretical arrival times (us), leases (expiry in us), units of a period, reservations."""

    tat: dict[Key, int] = field(default_factory=dict)
    leases: dict[Key, dict[str, int]] = field(default_factory=dict)
    units: dict[Key, tuple[int, int]] = field(default_factory=dict)
    records: dict[str, _Record] = field(default_factory=dict)


class LedgerRules:
    """Every decision on `Counters`, at a time given by `now` (seconds since the epoch)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.counters = Counters()

    def charge_rate(self, subject: str, limits: Sequence[Limit], in_advance: int) -> Verdict:
        now = self._us()
        ahead = {limit: self._ahead(subject, limit, now) for limit in limits}
        over = {limit: us + interval(limit) - burst(limit) * interval(limit) for limit, us in ahead.items()}
        for limit, us in ahead.items():
            self.counters.tat[_key(subject, limit)] = now + us
        refused = [limit for limit in limits if over[limit] > 0]
        if refused:
            return self._verdict(subject, limits, now, refused[0], max(over.values()) / US, charged_at=now)
        spare = [(burst(limit) - 1 - -(-us // interval(limit)) - burst(limit) / 2) // 16 for limit, us in ahead.items()]
        granted = 1 + int(max(0, min([in_advance, *spare])))
        for limit, us in ahead.items():
            self.counters.tat[_key(subject, limit)] = now + us + granted * interval(limit)
        return self._verdict(subject, limits, now, None, 0.0, granted, charged_at=now)

    def return_rate(self, subject: str, limits: Sequence[Limit], count: int, charged_at: int) -> None:
        now = self._us()
        if now < charged_at:
            return
        for limit in limits:
            free_by_itself = max(0, now - charged_at - interval(limit))
            back = max(0, count * interval(limit) - free_by_itself)
            left = self.counters.tat.get(_key(subject, limit), 0) - now - back
            self.counters.tat[_key(subject, limit)] = now + max(0, left)

    def reserve(self, reservation: Reservation, lease_s: float) -> Verdict:
        now, limits, subject = self._us(), reservation.limits, reservation.subject
        for limit in limits:
            self._carry_over(subject, limit, now)
        record = self.counters.records.get(reservation.reservation_id)
        if record is not None and record.state == "settled":
            return self._verdict(subject, limits, now, limits[0] if limits else None, 0.0)
        if record is not None:
            return self._verdict(subject, limits, now, None, 0.0)
        refused = [limit for limit in limits if self._full(subject, limit, reservation.units, now)]
        if refused:
            wait = max(self._wait(limit, now) for limit in refused)
            return self._verdict(subject, limits, now, refused[0], wait)
        for limit in limits:
            self._take(reservation, limit, now, lease_s)
        periods = {_key(subject, limit): _period(limit, now) for limit in limits if limit.kind == "units"}
        self.counters.records[reservation.reservation_id] = _Record("open", reservation.units, periods)
        return self._verdict(subject, limits, now, None, 0.0)

    def settle(self, reservation: Reservation, units: int) -> None:
        record = self.counters.records.setdefault(reservation.reservation_id, _Record("settled"))
        if record.state == "settled":
            return
        record.state = "settled"
        for limit in reservation.limits:
            key = _key(reservation.subject, limit)
            self.counters.leases.get(key, {}).pop(reservation.reservation_id, None)
            period, used = self.counters.units.get(key, (-1, 0))
            # An earlier period than it was charged to: the clock was set back, and that sum was carried over.
            if key in record.periods and 0 <= period <= record.periods[key]:
                self.counters.units[key] = (period, max(0, used + units - record.units))

    def usage(self, subject: str, limits: Sequence[Limit]) -> list[Usage]:
        now = self._us()
        return [Usage(limit, self._count(subject, limit, now)) for limit in limits]

    def _us(self) -> int:
        return round(self._now() * 1000) * 1000

    def _ahead(self, subject: str, limit: Limit, now: int) -> int:
        # Further ahead than the whole burst: written before the clock was set back.
        ahead = max(0, self.counters.tat.get(_key(subject, limit), 0) - now)
        return min(ahead, burst(limit) * interval(limit))

    def _count(self, subject: str, limit: Limit, now: int) -> int:
        """Requests of burst left, leases now, or units of this period."""
        key = _key(subject, limit)
        if limit.kind == "rate":
            return max(0, burst(limit) - -(-self._ahead(subject, limit, now) // interval(limit)))
        if limit.kind == "concurrency":
            return sum(expiry > now for expiry in self.counters.leases.get(key, {}).values())
        period, used = self.counters.units.get(key, (0, 0))
        # A later one: the clock was set back, and what was counted then counts now.
        return used if period >= _period(limit, now) else 0

    def _carry_over(self, subject: str, limit: Limit, now: int) -> None:
        """What has ended is gone; what was counted in a later period, before the clock was set back, counts now."""
        key = _key(subject, limit)
        leases = self.counters.leases.get(key, {})
        for name in [name for name, expiry in leases.items() if expiry <= now]:
            del leases[name]
        period, used = self.counters.units.get(key, (-1, 0))
        if period > _period(limit, now):
            self.counters.units[key] = (_period(limit, now), used)

    def _full(self, subject: str, limit: Limit, units: int, now: int) -> bool:
        cost = units if limit.kind == "units" else 1
        return limit.kind != "rate" and self._count(subject, limit, now) + cost > limit.amount

    def _take(self, reservation: Reservation, limit: Limit, now: int, lease_s: float) -> None:
        key = _key(reservation.subject, limit)
        if limit.kind == "concurrency":
            self.counters.leases.setdefault(key, {})[reservation.reservation_id] = now + round(lease_s * US)
        elif limit.kind == "units":
            used = self._count(reservation.subject, limit, now)
            self.counters.units[key] = (_period(limit, now), used + reservation.units)

    def _wait(self, limit: Limit, now: int) -> float:
        # A lease ends when its call does, which nobody knows: the window of the limit stands for it.
        window = limit.window_s * US
        return limit.window_s if limit.kind == "concurrency" else (window - now % window) / US

    def _status(self, subject: str, limit: Limit, now: int) -> LimitStatus:
        count = self._count(subject, limit, now)
        if limit.kind == "rate":
            return LimitStatus(limit, count, self._ahead(subject, limit, now) / US)
        return LimitStatus(limit, max(0, limit.amount - count), self._wait(limit, now) if count else 0.0)

    def _verdict(
        self,
        subject: str,
        limits: Sequence[Limit],
        now: int,
        refused: Limit | None,
        wait_s: float,
        granted: int = 1,
        charged_at: int = 0,
    ) -> Verdict:
        statuses = tuple(self._status(subject, limit, now) for limit in limits)
        return Verdict(refused, wait_s, statuses, granted if refused is None else 0, charged_at=charged_at)


def interval(limit: Limit) -> int:
    """Microseconds between two requests at the sustained rate; rounded up, so never more than the amount."""
    return -(-limit.window_s * US // max(1, limit.amount))


def _period(limit: Limit, now: int) -> int:
    """How many windows have passed since 1970."""
    return now // (limit.window_s * US)


def burst(limit: Limit) -> int:
    """Requests at once; an amount of 0 admits none at all."""
    return limit.burst if limit.amount > 0 else 0


def _key(subject: str, limit: Limit) -> Key:
    return subject, limit.name, limit.holder
