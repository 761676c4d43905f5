"""A worker that stands still, or that cannot be started again, is one worker less and no outage."""

import asyncio

from bench import restarts
from bench.restarts import Asked, Plan

SHORT = Plan(watched_s=7.0, before_s=0.5, rate=10)


def test_callers_of_a_worker_that_stands_still_are_served_by_the_other_within_seconds() -> None:
    found = asyncio.run(restarts.standing_still(SHORT, {}))
    assert [each for each in found if not each.holds] == []
    # Somebody noticed at all.
    assert max(each.measured for each in found) > 0


def test_a_worker_that_cannot_be_started_again_ends_no_other() -> None:
    found = asyncio.run(restarts.no_descriptors(SHORT, {}))
    assert [each for each in found if not each.holds] == []


def test_the_last_call_that_was_not_served_as_usual_counts() -> None:
    def asked(at: float, status: int = 200, took: float = 0.1, way: str = "new") -> Asked:
        return Asked(way, True, at, at + took, status)

    before, late = asked(99, 0), asked(106, 200, 1.5)
    good = [asked(100 + number) for number in range(20)]
    assert restarts._again([before, *good], 100, "new", hit=True).measured == 0
    assert restarts._again([*good, asked(104, 0, 3.0)], 100, "new", hit=True).measured == 7
    assert restarts._again([*good, late], 100, "new", hit=True).measured == 7.5
    assert restarts._again([*good, asked(106, 0, way="kept")], 100, "new", hit=True).measured == 0
    assert restarts._again([*good, asked(103, 429)], 100, "new", hit=True).holds
