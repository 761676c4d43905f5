"""Keys and approvals that end while a call waits: nothing more happens in their name, and that is on record."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audit_summary import SINGLES
from gateway.core.types import Limits, Response
from gateway.ports import UpstreamReply
from tests.flow.harness import KEY, slug
from tests.flow.labs import Lab, play

FLAGGED: Mapping[str, Any] = {"potential_sequence_of_concern": True}
PLAIN: Mapping[str, Any] = {}
ONE_PLACE = {"upstream": {"url": "http://upstream", "max_concurrent": 1}}
PATIENT = {"upstream": {"url": "http://upstream"}, "admission": {"max_wait_s": 50.0}}
LIMITS = Limits(units_per_day=1000)
SERVER_DOWN = UpstreamReply(503, "application/json", None, b"{}")

Ending = Callable[[Lab], None]


def key_revoked(lab: Lab) -> None:
    records, now = lab.parts.directory.records, lab.parts.clock.now()
    records[KEY.public_id] = replace(records[KEY.public_id], revoked=now)
    lab.parts.directory.changes += 1


def key_expired(lab: Lab) -> None:
    """Nobody changes anything: its time has come."""
    records, now = lab.parts.directory.records, lab.parts.clock.now()
    records[KEY.public_id] = replace(records[KEY.public_id], expires=now)
    lab.parts.directory.changes += 1


def key_deleted(lab: Lab) -> None:
    del lab.parts.directory.records[KEY.public_id]
    lab.parts.directory.changes += 1


def approval_revoked(lab: Lab) -> None:
    lab.one.approval(revoked=lab.parts.clock.now())


def approval_expired(lab: Lab) -> None:
    lab.one.approval(expires=lab.parts.clock.now())


def approval_narrowed(lab: Lab) -> None:
    lab.one.approval(models=("another-model",))


KEY_ENDS = [
    (key_revoked, PLAIN, 401),
    (key_expired, PLAIN, 401),
    (key_deleted, PLAIN, 401),
    (key_revoked, FLAGGED, 401),
]
APPROVAL_ENDS = [(approval_revoked, FLAGGED, 403), (approval_expired, FLAGGED, 403), (approval_narrowed, FLAGGED, 403)]
ENDINGS = [*KEY_ENDS, *APPROVAL_ENDS]
endings = pytest.mark.parametrize("ends, body, status", ENDINGS)


def changed(body: Mapping[str, Any], steps: int = 1) -> Mapping[str, Any]:
    """Another call of the same sort."""
    return {**body, "num_steps": steps}


def stopped(lab: Lab, response: Response, status: int, body: Mapping[str, Any]) -> None:
    """It was refused, given back, and is on record after the permission that it had."""
    assert response.status == status
    assert slug(response) == ("key-refused" if status == 401 else "concern-refused")
    records = [event for event in lab.parts.audit.events if event.kind != "policy_answered"]
    last = records[-1]
    assert last.kind == "permission_ended"
    assert last.facts["ended"] == ("key" if status == 401 else "concern")
    assert (last.facts["user"], last.facts["key"], last.facts["request"]) == ("ada", KEY.public_id, "r1")
    if body:
        mine = [event for event in records if (event.facts["call"], event.facts["user"]) == (last.facts["call"], "ada")]
        assert [event.kind for event in mine] == ["policy_permitted", "permission_ended"]


@endings
def test_who_waits_for_a_place_is_asked_again_before_the_call_is_sent(
    ends: Ending, body: Mapping[str, Any], status: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 90.0
        first = lab.ask(changed(body))
        await lab.sleep(1.0)
        second = lab.ask(body)
        await lab.sleep(1.0)
        ends(lab)
        stopped(lab, await second, status, body)
        assert (await first).status == 200  # it was sent before
        assert lab.sent() == 1

    lab = play(story, settings=ONE_PLACE, limits=LIMITS)
    assert sorted(lab.settled()) == [0, 5]


@endings
def test_who_waits_for_their_other_calls_to_end_is_asked_again(
    ends: Ending, body: Mapping[str, Any], status: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 20.0
        first = lab.ask(changed(body))
        await lab.sleep(1.0)
        second = lab.ask(body)
        await lab.sleep(1.0)
        ends(lab)
        stopped(lab, await second, status, body)
        assert (await first).status == 200
        assert lab.sent() == 1

    lab = play(story, settings=PATIENT, limits=Limits(concurrent=1, units_per_day=1000))
    assert sorted(lab.settled()) == [0, 5]


@endings
def test_a_call_that_failed_is_not_tried_again_for_who_may_no_longer_have_it(
    ends: Ending, body: Mapping[str, Any], status: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()

        async def failing(_: Any) -> UpstreamReply:
            await lab.sleep(5.0)
            return SERVER_DOWN

        lab.parts.upstream.answer = failing
        asking = lab.ask(body)
        await lab.sleep(1.0)
        ends(lab)
        stopped(lab, await asking, status, body)
        assert lab.sent() == 1

    lab = play(story, limits=LIMITS)
    assert lab.settled() == [0]


def test_whose_call_waits_for_its_rate_before_the_body_is_asked_again_after_it() -> None:
    async def story(lab: Lab) -> None:
        lab.takes_s = 0.01
        assert (await lab.ask()).status == 200
        second = lab.ask(changed(PLAIN))
        await lab.sleep(0.1)
        key_revoked(lab)
        response = await second
        assert (response.status, slug(response)) == (401, "key-refused")
        assert lab.sent() == 1

    settings = {"upstream": {"url": "http://upstream"}, "admission": {"max_wait_s": 2.0}}
    play(story, settings=settings, limits=Limits(requests_per_minute=60, burst=1))


@pytest.mark.parametrize("workers", [1, 2])
@endings
def test_the_followers_of_a_leader_who_may_no_longer_go_get_another_leader(
    ends: Ending, body: Mapping[str, Any], status: int, workers: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 60.0
        bob, carl = (lab.one.person(name, limits=LIMITS) for name in ("bob", "carl"))
        of_ada = lab.parts.directory.granted["ada"]["g1"]
        for name in ("bob", "carl"):
            lab.parts.directory.granted[name] = {name: replace(of_ada, user=name, approval_id=name)}
        lab.parts.directory.changes += 1
        # On one worker all wait for the place; on two, the followers elsewhere listen to the leader's lease.
        busy = lab.ask(changed(body), who=bob)
        await lab.sleep(1.0)
        leader = lab.ask(body)
        await lab.sleep(1.0)
        followers = [lab.ask(body, workers - 1, who=who) for who in (bob, carl, bob)]
        await lab.sleep(1.0)
        ends(lab)
        stopped(lab, await leader, status, body)
        answers = [await each for each in followers]
        assert [answer.status for answer in answers] == [200] * 3
        assert len({answer.body for answer in answers}) == 1
        assert (await busy).status == 200
        assert lab.sent() == 2

    lab = play(story, workers=workers, settings=ONE_PLACE, limits=LIMITS)
    assert sorted(lab.settled()) == [0, 5, 10]


@pytest.mark.parametrize("workers", [1, 2])
@endings
def test_a_follower_whose_permission_ended_does_not_get_another_s_answer(
    ends: Ending, body: Mapping[str, Any], status: int, workers: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 30.0
        bob = lab.one.person("bob")
        of_ada = lab.parts.directory.granted["ada"]["g1"]
        lab.parts.directory.granted["bob"] = {"b": replace(of_ada, user="bob", approval_id="b")}
        leader = lab.ask(body, who=bob)
        await lab.sleep(1.0)
        follower = lab.ask(body, workers - 1)
        await lab.sleep(1.0)
        ends(lab)
        stopped(lab, await follower, status, body)
        assert (await leader).status == 200
        assert lab.sent() == 1

    play(story, workers=workers)


@endings
def test_a_stale_answer_does_not_stand_in_for_who_may_no_longer_ask(
    ends: Ending, body: Mapping[str, Any], status: int
) -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        assert (await lab.ask(body)).status == 200
        await lab.sleep(20.0)

        async def failing(_: Any) -> UpstreamReply:
            await lab.sleep(5.0)
            return UpstreamReply(502, "application/json", None, b"{}")

        lab.parts.upstream.answer = failing
        assert (await lab.ask(body)).status == 200  # stale, while they may
        asking = lab.ask(body)
        await lab.sleep(1.0)
        ends(lab)
        response = await asking
        assert (response.status, lab.sent()) == (status, 3)

    settings = {"upstream": {"url": "http://upstream"}, "cache": {"ttl_s": 10.0, "stale_if_error_s": 1000.0}}
    play(story, settings=settings)


def test_a_hit_is_not_given_to_whose_approval_ended_while_the_record_was_written() -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        assert (await lab.ask(FLAGGED)).status == 200
        append = lab.parts.audit.append

        async def slow(event: Any) -> int:
            await lab.sleep(4.0)
            return await append(event)

        lab.parts.audit.append = slow  # type: ignore[method-assign]
        asking = lab.ask(FLAGGED)
        await lab.sleep(1.0)
        approval_revoked(lab)
        assert (await asking).status == 403

    lab = play(story)
    assert "permission_ended" in lab.kinds()


def test_a_refusal_is_a_refusal_also_where_its_record_cannot_be_written() -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 30.0
        first = lab.ask(changed(FLAGGED))
        await lab.sleep(1.0)
        second = lab.ask(FLAGGED)
        await lab.sleep(1.0)
        approval_revoked(lab)
        lab.parts.audit.lost.add("*")
        response = await second
        assert (response.status, slug(response)) == (403, "concern-refused")
        assert lab.parts.meter.counts[("esmgw_audit_failures_total",)] >= 1
        assert (await first).status == 200

    lab = play(story, settings=ONE_PLACE, limits=LIMITS)
    assert sorted(lab.settled()) == [0, 5]


def test_with_the_state_store_lost_a_call_whose_key_is_no_longer_known_is_not_sent() -> None:
    async def story(lab: Lab) -> None:
        lab.takes_s = 100.0
        first = lab.ask(changed(PLAIN))
        await lab.sleep(1.0)
        second = lab.ask(PLAIN)
        await lab.sleep(1.0)
        lab.parts.directory.lost.add("*")
        response = await second
        assert (response.status, slug(response)) == (503, "state-unavailable")
        assert ((await first).status, lab.sent(), lab.kinds()) == (200, 1, [])

    lab = play(story, settings=ONE_PLACE, limits=LIMITS)
    assert sorted(lab.settled()) == [0, 5]


def test_many_calls_of_one_ended_key_fill_no_disk_and_flagged_ones_are_each_on_record() -> None:
    async def story(lab: Lab) -> None:
        lab.one.approval()
        lab.takes_s = 30.0
        asking = [lab.ask(changed(PLAIN, n), cache_control="no-store") for n in (1, 2) for _ in range(15)]
        asking += [lab.ask(changed(FLAGGED, n), cache_control="no-store") for n in (1, 2) for _ in range(6)]
        await lab.sleep(1.0)
        key_revoked(lab)
        statuses = [(await each).status for each in asking]
        assert (statuses.count(200), statuses.count(401)) == (1, 41)

    lab = play(story, settings={**ONE_PLACE, "limits": {"default": {"concurrent": 100}}})
    ended = [event.facts for event in lab.parts.audit.events if event.kind == "permission_ended"]
    assert len(ended) <= SINGLES + 12
    assert lab.parts.meter.counts[("esmgw_audit_refusals_counted_total", "key")] == 29 + 12 - len(ended)


def test_a_caller_who_keeps_their_key_costs_no_look_up_more() -> None:
    async def story(lab: Lab) -> None:
        bob = lab.one.person("bob")
        await lab.sleep(1.0)
        asked: list[Awaitable[Response]] = [lab.ask(PLAIN), lab.ask(PLAIN, who=bob), lab.ask(PLAIN)]
        assert [each.status for each in await asyncio.gather(*asked)] == [200] * 3
        assert (await lab.ask(PLAIN)).status == 200
        assert lab.parts.effects().count("directory.find") == 2

    play(story)
