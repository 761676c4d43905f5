"""Calls that share a cache key get the same tokens from the published sampler, and a wrong rule is noticed."""

from collections.abc import Iterator

from tests.sampler.play import Tally, Where


def of(kind: str, tallies: dict[Where, Tally]) -> Iterator[tuple[Where, Tally]]:
    return ((where, tally) for where, tally in tallies.items() if where[0] == kind)


def test_no_rule_shares_a_key_between_different_tokens(tallies: dict[Where, Tally]) -> None:
    assert {where: tally for where, tally in of("rule", tallies) if tally.shared_and_differ} == {}


def test_all_rules_together_share_no_key_between_different_tokens(tallies: dict[Where, Tally]) -> None:
    assert {where: tally for where, tally in of("together", tallies) if tally.shared_and_differ} == {}


def test_no_claim_shares_a_key_between_different_tokens(tallies: dict[Where, Tally]) -> None:
    assert {where: tally for where, tally in of("claim", tallies) if tally.shared_and_differ} == {}


def test_every_random_pair_of_a_rule_shares_a_key_and_was_answered(tallies: dict[Where, Tally]) -> None:
    """Otherwise the counts above prove nothing."""
    for kind in ("rule", "together"):
        assert {where: tally for where, tally in of(kind, tallies) if tally.shared < tally.played or tally.errors} == {}


def test_a_wrong_rule_is_noticed_on_every_track(tallies: dict[Where, Tally]) -> None:
    rows = dict(of("planted", tallies))
    assert len({rule for _, rule, _ in rows}) == 4
    assert {where: tally for where, tally in rows.items() if not tally.shared_and_differ} == {}


def test_the_tiny_model_notices_most_changes_of_one_token(tallies: dict[Where, Tally]) -> None:
    rows = dict(of("change", tallies))
    assert {
        track: tally for (_, _, track), tally in rows.items() if tally.shared or tally.differ <= tally.played / 2
    } == {}
    assert sum(tally.differ for tally in rows.values()) > 0.7 * sum(tally.played for tally in rows.values())


def test_most_claims_of_a_difference_show_one(tallies: dict[Where, Tally]) -> None:
    others = [tally for _, tally in of("claim", tallies) if not tally.shared]
    assert sum(tally.differ for tally in others) > 0.6 * len(others)
