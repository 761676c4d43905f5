"""Refused declared calls on the audit record: a flood is a few records, and no refusal is answered uncounted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.core.audit_summary import FIRST_WINDOW_S, SINGLES
from gateway.core.problems import AUDIT_UNAVAILABLE, CONCERN_REFUSED, Problem
from gateway.core.types import Approval, Principal
from gateway.flow.policy import LOOK_EVERY_S, PolicyEnforcer
from gateway.flow.runtime import BackgroundTasks
from tests.flow.harness import Harness, Parts, a_call, a_principal, slug, turns
from tests.policies.built import built

ADA, BOB = a_principal(), a_principal(user="bob", public_id="k2")
GRANT = Approval("g1", "eve", ("bea", "carl"), "toxin panel", 0.0, 4e9)
EVE = a_principal(user="eve", public_id="k3", approvals=(GRANT,))


class Desk:
    """The policies of one worker, with the loop that writes what was counted."""

    def __init__(self, parts: Parts, tasks: BackgroundTasks, mode: str = "enforce") -> None:
        self.parts = parts
        self.enforcer = PolicyEnforcer(parts.audit, built(concern=mode), parts.runtime(tasks))
        self.loop = asyncio.ensure_future(self.enforcer.forever())

    async def ask(self, who: Principal = ADA, name: str = "call") -> str:
        try:
            await self.enforcer.check(a_call(flagged=True, name=name), who, f"r-{name}")
        except Problem as problem:
            return problem.type.slug
        return "on"

    async def close(self) -> None:
        self.loop.cancel()
        await asyncio.gather(self.loop, return_exceptions=True)
        await self.enforcer.close()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.parts.audit.events]

    def accounted(self) -> int:
        """How many refusals are on record, singly or counted."""
        events = self.parts.audit.events
        return sum(event.facts.get("refused", 1) for event in events if event.kind.startswith("policy_refus"))


def play(act: Callable[[Desk], Awaitable[None]], mode: str = "enforce") -> Parts:
    parts = Parts()

    async def whole(tasks: BackgroundTasks) -> None:
        desk = Desk(parts, tasks, mode)
        try:
            await act(desk)
        finally:
            await desk.close()

    parts.play(whole)
    return parts


def test_a_flood_is_a_few_records_and_one_that_counts_the_rest_even_when_nothing_comes_after_it() -> None:
    async def act(desk: Desk) -> None:
        said = [await desk.ask(name=f"call {i}") for i in range(500)]
        assert said == [CONCERN_REFUSED.slug] * 500
        assert desk.kinds() == ["policy_refused"] * SINGLES
        await asyncio.sleep(FIRST_WINDOW_S + LOOK_EVERY_S + 1)
        assert desk.kinds() == [*["policy_refused"] * SINGLES, "policy_refusals"]
        assert desk.accounted() == 500

    parts = play(act)
    assert len(parts.audit.events) == SINGLES + 1
    facts = parts.audit.events[-1].facts
    assert (facts["user"], facts["keys"], facts["policy"]) == ("ada", ["k1"], "concern")
    assert facts["calls"][0] == a_call(name="call 3").canonical_digest.hex()
    assert parts.meter.counts[("esmgw_audit_refusals_counted_total", "concern")] == 500 - SINGLES
    assert parts.meter.counts[("esmgw_audit_records_total", "policy_refusals")] == 1
    assert parts.meter.counts[("esmgw_policy_decisions_total", "concern", "enforce", "refused")] == 500


def test_an_orderly_stop_loses_no_count() -> None:
    async def act(desk: Desk) -> None:
        for who in (ADA, BOB):
            for _ in range(20):
                await desk.ask(who)
        await asyncio.sleep(2.0)

    parts = play(act)
    assert sorted(e.facts["user"] for e in parts.audit.events if e.kind == "policy_refusals") == ["ada", "bob"]
    assert sum(e.facts.get("refused", 1) for e in parts.audit.events) == 40


def test_after_the_stop_every_refusal_is_a_record_since_nobody_will_write_a_count() -> None:
    async def act(desk: Desk) -> None:
        await desk.close()
        for _ in range(10):
            assert await desk.ask() == CONCERN_REFUSED.slug
        assert desk.kinds() == ["policy_refused"] * 10

    play(act)


@pytest.mark.parametrize("moments", [0, 1, 2, 5])
def test_a_refused_caller_who_hangs_up_is_on_record_all_the_same(moments: int) -> None:
    async def act(desk: Desk) -> None:
        desk.parts.audit.append = slow(desk.parts.audit.append)  # type: ignore[method-assign, assignment]
        callers = [asyncio.ensure_future(desk.ask(name=f"c{i}")) for i in range(30)]
        await turns(moments)
        begun = sum(1 for _ in callers) if moments else 0
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await asyncio.sleep(FIRST_WINDOW_S + 2 * LOOK_EVERY_S)
        assert desk.accounted() == begun

    play(act)


def slow(append: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    async def later(event: Any) -> int:
        await asyncio.sleep(0.5)
        return await append(event)

    return later


def test_many_at_once_are_not_more_single_records_than_one_after_the_other() -> None:
    async def act(desk: Desk) -> None:
        desk.parts.audit.append = slow(desk.parts.audit.append)  # type: ignore[method-assign, assignment]
        said = await asyncio.gather(*(desk.ask(name=f"c{i}") for i in range(64)))
        assert set(said) == {CONCERN_REFUSED.slug}
        assert desk.kinds() == ["policy_refused"] * SINGLES

    assert sum(e.facts.get("refused", 1) for e in play(act).audit.events) == 64


def test_a_permitted_call_is_always_recorded_before_it_goes_on_beside_any_flood() -> None:
    async def act(desk: Desk) -> None:
        for i in range(200):
            await desk.ask(ADA)
            assert await desk.ask(EVE, f"approved {i}") == "on"
            assert desk.parts.audit.events[-1].facts["request"] == f"r-approved {i}"

    assert sum(event.kind == "policy_permitted" for event in play(act).audit.events) == 200


def test_a_call_that_is_let_through_is_a_record_each_in_mode_observe() -> None:
    async def act(desk: Desk) -> None:
        for i in range(50):
            assert await desk.ask(name=f"call {i}") == "on"

    events = play(act, mode="observe").audit.events
    assert [event.kind for event in events] == ["policy_refused"] * 50
    assert {event.facts["mode"] for event in events} == {"observe"}


def test_a_count_that_cannot_be_written_is_kept_until_it_can() -> None:
    async def act(desk: Desk) -> None:
        for _ in range(20):
            await desk.ask()
            await desk.ask(BOB)
        desk.parts.audit.lost.add("*")
        await asyncio.sleep(10 * FIRST_WINDOW_S)
        assert await desk.ask() == CONCERN_REFUSED.slug, "what is only counted needs no disk"
        assert "policy_refusals" not in desk.kinds()
        desk.parts.audit.lost.clear()
        await asyncio.sleep(2 * LOOK_EVERY_S)
        assert desk.accounted() == 41

    parts = play(act)
    assert parts.meter.counts[("esmgw_audit_failures_total",)] > 0
    assert sum(e.kind == "policy_refusals" for e in parts.audit.events) == 2


def test_while_no_record_can_be_written_the_first_refusals_are_no_refusals_but_503() -> None:
    async def act(desk: Desk) -> None:
        desk.parts.audit.lost.add("*")
        assert await desk.ask() == AUDIT_UNAVAILABLE.slug

    assert play(act).audit.events == []


def test_a_refused_call_has_no_record_of_how_it_ended() -> None:
    async def act() -> None:
        gateway = await Harness().opened()
        for i in range(30):
            body = {"potential_sequence_of_concern": True, "num_steps": 1 + i % 2}
            assert slug(await gateway.ask(body)) == CONCERN_REFUSED.slug
        await gateway.settled()
        await gateway.flow.policy.close()
        kinds = [event.kind for event in gateway.memory.audit.events]
        assert kinds == [*["policy_refused"] * SINGLES, "policy_refusals"]
        assert gateway.sent() == 0

    asyncio.run(act())
