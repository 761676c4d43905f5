"""Which ages of an answer are served, and what purges and the upstream's absence change about it."""

from dataclasses import replace

import pytest

from gateway.core.caching import Plan
from gateway.core.nouns import Answer, Class
from gateway.core.wish import NO_WISH, Wish

CREATED, TTL_S, NOW = 1_000_000.0, 1000.0, 1_000_600.0
ANSWER = Answer(b"{}", CREATED, Class.EXACT)


def a_plan(**changes: object) -> Plan:
    values = {"ttl_s": TTL_S, "wish": NO_WISH, **changes}
    return Plan("a", "exact", keep_first=False, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "age", "served"),
    [
        (NO_WISH, 0, True),
        (NO_WISH, 999, True),
        (NO_WISH, 1000, False),
        (Wish(max_age=60), 60, True),
        (Wish(max_age=60), 60.01, False),
        (Wish(max_age=0), 0, True),
        (Wish(max_age=0), 0.01, False),
        # An age that the caller accepts makes no stale answer fresh.
        (Wish(max_age=5000), 1000, False),
        (Wish(min_fresh=400), 600, True),
        (Wish(min_fresh=400), 600.01, False),
        (Wish(min_fresh=0), 999.9, True),
        (Wish(min_fresh=0), 1000, False),
        (Wish(max_stale=30), 1030, True),
        (Wish(max_stale=30), 1030.01, False),
        (Wish(max_stale=0), 1000.01, False),
        (Wish(max_stale=2**31), 900_000, True),
        (Wish(max_stale=30, max_age=1010), 1010, True),
        (Wish(max_stale=30, max_age=1010), 1011, False),
        (Wish(max_stale=30, min_fresh=1), 1010, False),
        (Wish(only_if_cached=True), 999, True),
        (Wish(only_if_cached=True), 1000, False),
    ],
)
def test_an_answer_serves_if_its_age_is_one_that_was_asked_for(asked: Wish, age: float, served: bool) -> None:
    """RFC 9111 sections 4.2 and 5.2.1: the lifetime here is 1000 seconds."""
    assert a_plan(wish=asked).serves(ANSWER, CREATED + age) is served


def test_a_soft_purge_makes_stale_what_was_computed_before_it_and_that_alone() -> None:
    purged = a_plan(stale_before=CREATED)
    assert not purged.serves(ANSWER, NOW)
    assert purged.serves(replace(ANSWER, created=CREATED + 0.001), NOW)
    assert purged.left(ANSWER, NOW) == -600
    # By a clock that runs ahead the purge is still to come; what it names is stale all the same.
    assert not a_plan(stale_before=NOW + 5).serves(ANSWER, NOW)
    assert a_plan(stale_before=NOW - 10, wish=Wish(max_stale=10)).serves(ANSWER, NOW)
    assert not a_plan(stale_before=NOW - 10, wish=Wish(max_stale=9)).serves(ANSWER, NOW)


def test_what_a_purge_by_age_has_met_is_gone_for_every_wish() -> None:
    for asked in (NO_WISH, Wish(max_stale=2**31)):
        gone = a_plan(floor=CREATED, grace_s=1e9, wish=asked)
        assert not gone.serves(ANSWER, NOW)
        assert not gone.stands_in(ANSWER, NOW)
        assert gone.serves(replace(ANSWER, created=CREATED + 0.001), NOW)


@pytest.mark.parametrize(
    ("changes", "now", "stands"),
    [
        ({"grace_s": 0.0}, CREATED + 1000, False),
        ({"grace_s": 0.0, "stale_before": CREATED}, NOW, False),
        ({"grace_s": 50.0}, CREATED + 1049.9, True),
        ({"grace_s": 50.0}, CREATED + 1050, False),
        ({"grace_s": 50.0, "stale_before": CREATED}, NOW, True),
        ({"grace_s": 50.0, "stale_before": CREATED}, CREATED + 1050, False),
    ],
)
def test_a_stale_answer_stands_in_for_the_upstream_within_its_grace(
    changes: dict[str, float], now: float, stands: bool
) -> None:
    assert a_plan(**changes).stands_in(ANSWER, now) is stands
