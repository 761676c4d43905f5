"""Places at the upstream are shared by weight and by units, a single call does not wait for thousands; and a short form
of the program that says so notices where they are not."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bench import fairness, findings
from bench.batches_upstream import letters
from bench.fairness import DEAR
from bench.fairness_callers import Waits
from bench.fairness_run import Plan, Run, leavers, opened
from bench.findings import ANY, Finding
from gateway.core.endpoint import ParseConfig
from gateway.endpoints import BY_PATH

SMALL = Plan(waiting=160, places=8, latency_s=0.1, seconds=4, every_s=0.25, tolerance=0.25, leavers_wait_s=2, workers=1)
# A busy machine adds its part to the wait of a call, so the upstream's part is larger.
SLOW = replace(SMALL, latency_s=0.25)


def test_a_dear_call_costs_twenty_times_a_cheap_one() -> None:
    rules = ParseConfig({"esm3-open-2024-03": 1.0})
    dear, cheap = (BY_PATH[task.target].parse(task.body, "", rules) for task in (letters(1, DEAR), letters(1, 1)))
    assert dear.units == DEAR * cheap.units > 0


def test_a_finding_holds_between_its_bounds_and_says_so() -> None:
    held = [Finding("here", "both", 1, 1, 1), Finding("here", "no upper one", 7, 1, ANY)]
    broken = [
        *(Finding("here", "too low", 0.9, 1, 2), Finding("here", "too high", 2.1, 1, 2, "why")),
        Finding("here", "never", ANY, 0, 30),
    ]
    assert [each.holds for each in held + broken] == [True, True, False, False, False]
    rows = findings.as_rows(held + broken)
    assert not findings.all_hold(rows)
    assert findings.all_hold(rows[:2])
    text = findings.as_text(rows).splitlines()
    assert ["NOT HELD" in line for line in text] == [False, False, False, True, True, True]
    assert "no less than 1" in text[2]
    assert text[4].endswith("(why)")
    assert "never" in text[5].removeprefix("here      never")


def test_a_call_without_an_answer_is_the_slowest() -> None:
    waits = Waits([0.1] * 19 + [4.0])
    assert (waits.median, waits.p99) == (0.1, 4.0)


def judge(plan: Plan, *parts: str) -> list[dict[str, Any]]:
    result = asyncio.run(fairness.measured([plan], parts, {}))
    assert fairness.kept_its_word(result), fairness.as_text(result)
    rows: list[dict[str, Any]] = result["findings"]
    return rows


def test_a_single_call_does_not_wait_for_another_users_thousands_and_nobody_loses_by_it() -> None:
    p99, _, _, rate = judge(SLOW, "single")
    assert p99["measured"] >= SLOW.latency_s
    assert rate["measured"] < 1.1


def test_twice_the_weight_is_twice_the_share_and_shares_are_of_units_not_of_calls() -> None:
    assert len(judge(SMALL, "weights", "prices")) == 2


def test_whoever_hangs_up_leaves_nothing_behind_and_all_others_are_served() -> None:
    hung_up, *others = judge(SMALL, "hanging-up")
    assert hung_up["measured"] > SMALL.places
    assert len(others) == 5


def test_whoever_hangs_up_is_found_where_they_leave_something_behind() -> None:
    """Without the hanging up the user's next calls meet those that still wait."""

    async def scenario() -> None:
        async with opened(SMALL, ("leaver",), {"admission.max_wait_s": 0}) as run:
            await _find_the_leak(run)

    asyncio.run(scenario())


async def _find_the_leak(run: Run) -> None:
    many = leavers(run.plan)
    staying, more = run.callers("leaver"), run.callers("leaver")
    staying.start(many)
    await run.all_wait(staying)
    more.start(many, calls=1)
    await more.served()
    assert more.answered < many
    assert set(more.refused) == {"concurrency-exceeded"}
    await staying.hang_up()


@pytest.mark.parametrize(("name", "known"), [("admission.max_waiting", True), ("admission.no_such_thing", False)])
def test_a_build_without_a_setting_is_judged_without_it(name: str, known: bool) -> None:
    from bench.fairness_run import _is_known

    assert _is_known(name) is known
