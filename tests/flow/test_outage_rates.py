"""What is counted here while the store is away follows the store's own rule, request by request."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.quota import Limit
from gateway.flow.outage_rates import OutageRates
from tests.fakes.ledger import LedgerRules
from tests.flow.harness import Parts

LIMITS = (
    Limit("user-requests", "rate", "u:ada", 600, 60, 20),
    Limit("key-requests", "rate", "k:k1", 60, 60, 3),
    Limit("key-requests", "rate", "k:k2", 7, 60, 5),
)


@given(st.lists(st.tuples(st.integers(0, 4_000), st.sets(st.sampled_from(LIMITS), min_size=1)), max_size=60))
def test_it_decides_as_the_store_would(steps: list[tuple[int, set[Limit]]]) -> None:
    parts = Parts()
    rules, rates = LedgerRules(parts.clock.now), OutageRates(parts.runtime())
    for milliseconds, chosen in steps:
        parts.clock.advance(milliseconds / 1000)
        limits = tuple(limit for limit in LIMITS if limit in chosen)
        theirs, ours = rules.charge_rate("ada", limits, 0), rates.charge(limits)
        # To the microsecond they may differ: the store counts in whole ones.
        if abs(theirs.retry_after_s) > 1e-4 or ours.admitted == theirs.admitted:
            assert ours.admitted == theirs.admitted
            assert abs(ours.retry_after_s - theirs.retry_after_s) < 1e-3


def test_a_limit_of_none_admits_none() -> None:
    rates = OutageRates(Parts().runtime())
    assert not rates.charge((Limit("key-requests", "rate", "k:k1", 0, 60, 1),)).admitted
