"""Which ages of an answer are served, and what purges and the upstream's absence change about it."""

from dataclasses import replace

import pytest

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import CachePlan
from gateway.core.types import Answer, DeterminismClass

CREATED, TTL_S, NOW = 1_000_000.0, 1000.0, 1_000_600.0
ANSWER = Answer(b"{}", CREATED, DeterminismClass.EXACT)


def a_plan(**changes: object) -> CachePlan:
    values = {"ttl_s": TTL_S, "directives": NO_DIRECTIVES, **changes}
    return CachePlan("a", "exact", first_write_wins=False, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "age", "served"),
    [
        (NO_DIRECTIVES, 0, True),
        (NO_DIRECTIVES, 999, True),
        (NO_DIRECTIVES, 1000, False),
        (CacheDirectives(max_age=60), 60, True),
        (CacheDirectives(max_age=60), 60.01, False),
        (CacheDirectives(max_age=0), 0, True),
        (CacheDirectives(max_age=0), 0.01, False),
        # An age that the caller accepts makes no stale answer fresh.
        (CacheDirectives(max_age=5000), 1000, False),
        (CacheDirectives(min_fresh=400), 600, True),
        (CacheDirectives(min_fresh=400), 600.01, False),
        (CacheDirectives(min_fresh=0), 999.9, True),
        (CacheDirectives(min_fresh=0), 1000, False),
        (CacheDirectives(max_stale=30), 1030, True),
        (CacheDirectives(max_stale=30), 1030.01, False),
        (CacheDirectives(max_stale=0), 1000.01, False),
        (CacheDirectives(max_stale=2**31), 900_000, True),
        (CacheDirectives(max_stale=30, max_age=1010), 1010, True),
        (CacheDirectives(max_stale=30, max_age=1010), 1011, False),
        (CacheDirectives(max_stale=30, min_fresh=1), 1010, False),
        (CacheDirectives(only_if_cached=True), 999, True),
        (CacheDirectives(only_if_cached=True), 1000, False),
    ],
)
def test_an_answer_serves_if_its_age_is_one_that_was_asked_for(
    asked: CacheDirectives, age: float, served: bool
) -> None:
    """RFC 9111 sections 4.2 and 5.2.1: the lifetime here is 1000 seconds."""
    assert a_plan(directives=asked).satisfies(ANSWER, CREATED + age) is served


def test_a_soft_purge_makes_stale_what_was_computed_before_it_and_that_alone() -> None:
    purged = a_plan(stale_before=CREATED)
    assert not purged.satisfies(ANSWER, NOW)
    assert purged.satisfies(replace(ANSWER, created=CREATED + 0.001), NOW)
    assert purged.freshness_left(ANSWER, NOW) == -600
    # By a clock that runs ahead the purge is still to come; what it names is stale all the same.
    assert not a_plan(stale_before=NOW + 5).satisfies(ANSWER, NOW)
    assert a_plan(stale_before=NOW - 10, directives=CacheDirectives(max_stale=10)).satisfies(ANSWER, NOW)
    assert not a_plan(stale_before=NOW - 10, directives=CacheDirectives(max_stale=9)).satisfies(ANSWER, NOW)


def test_what_a_purge_by_age_has_met_is_gone_for_every_wish() -> None:
    for asked in (NO_DIRECTIVES, CacheDirectives(max_stale=2**31)):
        gone = a_plan(purged_before=CREATED, stale_if_error_s=1e9, directives=asked)
        assert not gone.satisfies(ANSWER, NOW)
        assert not gone.usable_if_error(ANSWER, NOW)
        assert gone.satisfies(replace(ANSWER, created=CREATED + 0.001), NOW)


@pytest.mark.parametrize(
    ("changes", "now", "stands"),
    [
        ({"stale_if_error_s": 0.0}, CREATED + 1000, False),
        ({"stale_if_error_s": 0.0, "stale_before": CREATED}, NOW, False),
        ({"stale_if_error_s": 50.0}, CREATED + 1049.9, True),
        ({"stale_if_error_s": 50.0}, CREATED + 1050, False),
        ({"stale_if_error_s": 50.0, "stale_before": CREATED}, NOW, True),
        ({"stale_if_error_s": 50.0, "stale_before": CREATED}, CREATED + 1050, False),
    ],
)
def test_a_stale_answer_stands_in_for_the_upstream_within_its_grace(
    changes: dict[str, float], now: float, stands: bool
) -> None:
    assert a_plan(**changes).usable_if_error(ANSWER, now) is stands


@pytest.mark.parametrize(
    ("asked", "age", "stands"),
    [
        (NO_DIRECTIVES, 1005, True),
        (CacheDirectives(max_stale=10), 1005, True),
        (CacheDirectives(max_stale=4), 1005, False),
        (CacheDirectives(max_stale=0), 1000.1, False),
        (CacheDirectives(max_age=5000), 1005, False),
        (CacheDirectives(max_age=5000), 10, False),
        (CacheDirectives(max_age=5000, max_stale=10), 1005, True),
        (CacheDirectives(max_age=1004, max_stale=10), 1005, False),
        (CacheDirectives(max_age=1), 5, False),
        (CacheDirectives(max_age=1, max_stale=10), 5, False),
        (CacheDirectives(min_fresh=0), 1005, False),
        (CacheDirectives(min_fresh=900), 500, False),
        (CacheDirectives(min_fresh=1, max_stale=10), 1005, False),
        (CacheDirectives(pool="lab", sample=1), 1005, True),
    ],
)
def test_bounds_that_the_caller_set_hold_also_while_the_upstream_is_down(
    asked: CacheDirectives, age: float, stands: bool
) -> None:
    """RFC 9111 sections 5.2.1.1 to 5.2.1.3: whoever names an age and not max-stale wants no stale answer."""
    plan = a_plan(directives=asked, stale_if_error_s=500.0)
    assert plan.usable_if_error(ANSWER, CREATED + age) is stands


@pytest.mark.parametrize(
    ("changes", "age", "why"),
    [
        ({}, None, "miss"),
        ({}, 10, "request"),
        ({}, 999.9, "request"),
        ({}, 1000, "stale"),
        ({"stale_before": CREATED}, 10, "stale"),
        ({"purged_before": CREATED}, 10, "miss"),
        ({"directives": CacheDirectives(no_cache=True)}, None, "request"),
        ({"store_reachable": False}, 10, "bypass"),
    ],
)
def test_why_an_answer_is_computed_is_told_in_the_words_of_the_rfc(
    changes: dict[str, object], age: float | None, why: str
) -> None:
    """RFC 9211 section 2.2: "request" is about a fresh answer that the request refused, "stale" about a stale one."""
    found = None if age is None else ANSWER
    assert a_plan(**changes).why_forwarded(found, CREATED + (age or 0)) == why
