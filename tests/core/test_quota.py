"""Which limits a key meets: its user's, then its own."""

import pytest

from gateway.core.quota import DAY_S, Limit, LimitConfig, Verdict
from gateway.core.types import KeyRecord, Limits, Principal

NOTHING = Limits()
FULL = Limits(requests_per_minute=600, burst=20, concurrent=8, units_per_day=1000)


def holder(user: str = "ada", limits: Limits = NOTHING) -> Principal:
    return Principal(KeyRecord("key1", "digest", user, "red", 0.0, limits=limits))


def amounts(limit_config: LimitConfig, who: Principal) -> dict[str, int]:
    return {limit.name: limit.amount for limit in limit_config.all(who)}


def test_without_ceilings_nothing_is_asked_of_the_ledger() -> None:
    assert LimitConfig().all(holder()) == ()
    assert LimitConfig(FULL, {"ada": NOTHING}).all(holder()) == ()


def test_each_ceiling_becomes_one_limit_of_its_kind_and_window() -> None:
    assert LimitConfig(FULL).all(holder()) == (
        Limit("user-requests", "rate", "u:ada", 600, 60, 20),
        Limit("user-concurrent", "concurrency", "u:ada", 8, 1, 8),
        Limit("user-units", "units", "u:ada", 1000, DAY_S, 1000),
    )


def test_a_user_with_ceilings_of_his_own_has_those_and_not_the_default_ones() -> None:
    limit_config = LimitConfig(FULL, {"bob": Limits(units_per_day=5)})
    assert amounts(limit_config, holder("bob")) == {"user-units": 5}
    assert amounts(limit_config, holder("ada")) == {"user-requests": 600, "user-concurrent": 8, "user-units": 1000}


@pytest.mark.parametrize(("burst", "at_once"), [(None, 600), (1, 1), (20, 20), (5000, 5000), (0, 1)])
def test_a_burst_left_out_is_a_minutes_requests_and_never_nothing(burst: int | None, at_once: int) -> None:
    (limit,) = LimitConfig(Limits(requests_per_minute=600, burst=burst)).all(holder())
    assert (limit.amount, limit.burst) == (600, at_once)


def test_a_burst_alone_limits_nothing() -> None:
    assert LimitConfig(Limits(burst=5)).all(holder()) == ()


def test_a_keys_own_ceilings_come_on_top_of_its_users_and_are_counted_apart() -> None:
    who = holder(limits=Limits(requests_per_minute=10, units_per_day=50))
    limits = LimitConfig(FULL).all(who)
    assert [limit.name for limit in limits] == [
        "user-requests",
        "user-concurrent",
        "user-units",
        "key-requests",
        "key-units",
    ]
    assert {limit.holder for limit in limits if limit.name.startswith("key")} == {"k:key1"}
    assert {limit.holder for limit in limits if limit.name.startswith("user")} == {"u:ada"}


def test_a_key_cannot_be_counted_as_a_user_of_the_same_name() -> None:
    record = KeyRecord("same", "digest", "same", "red", 0.0, limits=FULL)
    assert len({limit.holder for limit in LimitConfig(FULL).of_key(record)}) == 2


def test_a_ceiling_of_nothing_is_a_ceiling() -> None:
    assert amounts(LimitConfig(Limits(units_per_day=0)), holder()) == {"user-units": 0}
    assert amounts(LimitConfig(), holder(limits=Limits(concurrent=0))) == {"key-concurrent": 0}


def test_every_limit_is_met_either_by_each_request_or_by_each_call_that_goes_upstream() -> None:
    limit_config, who = LimitConfig(FULL), holder(limits=FULL)
    assert {limit.kind for limit in limit_config.rate_limits(who)} == {"rate"}
    assert {limit.kind for limit in limit_config.upstream_limits(who)} == {"concurrency", "units"}
    assert (
        {*limit_config.rate_limits(who), *limit_config.upstream_limits(who)}
        == {*limit_config.all(who)}
        == {*limit_config.of_key(who.key)}
    )
    assert (
        len(limit_config.rate_limits(who)) + len(limit_config.upstream_limits(who)) == len(limit_config.all(who)) == 6
    )


def test_a_verdict_admits_unless_a_limit_refused() -> None:
    (limit,) = LimitConfig(Limits(units_per_day=1)).all(holder())
    assert Verdict(None, 0.0, ()).admitted
    assert not Verdict(limit, 1.0, ()).admitted
