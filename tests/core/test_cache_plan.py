"""Where an answer lives: what sets two addresses apart, when there is none, and how the caller is told."""

import re
from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import (
    BYPASS_REASONS,
    Share,
    plan_scope,
    shared_plan,
)
from gateway.core.purge_state import PurgeState
from gateway.core.types import Answer, CacheScope, Determinism, DeterminismClass
from tests.core.plans import (
    ADA,
    ALL_CLASSES,
    CALL,
    MARKS,
    SCHEME,
    cache_key,
    in_namespace,
    of_class,
    person,
    planned,
)


def test_whatever_may_set_two_answers_apart_sets_their_addresses_apart() -> None:
    team, user = replace(SCHEME, share="team"), replace(SCHEME, share="user")
    different = {
        "itself": cache_key(),
        "upstream": cache_key(cache_config=replace(SCHEME, upstream="https://other.example")),
        "rules": cache_key(cache_config=replace(SCHEME, rule_set="sampler-0")),
        "epoch": cache_key(purge_state=PurgeState(2)),
        "purge of the model": cache_key(purge_state=PurgeState(1, models={"small": 1})),
        "two purges of the model": cache_key(purge_state=PurgeState(1, models={"small": 2})),
        "no marks": cache_key(purge_state=None),
        "by team": cache_key(cache_config=team),
        "another team": cache_key(cache_config=team, who=person("ada", "blue")),
        "by user": cache_key(cache_config=user),
        "another user": cache_key(cache_config=user, who=person("bob", "red")),
        "flag": cache_key(replace(CALL, flagged=True)),
        "model": cache_key(replace(CALL, model="large")),
        "canonical": cache_key(replace(CALL, canonical_digest=b"d" * 32)),
        "keyed": cache_key(replace(CALL, sharing_digest=b"e" * 32)),
        "pinned, a sample": cache_key(of_class(DeterminismClass.PINNED), asked=CacheDirectives(pool="lab", sample=1)),
        "pinned, another sample": cache_key(
            of_class(DeterminismClass.PINNED), asked=CacheDirectives(pool="lab", sample=2)
        ),
        "pinned, of another pool": cache_key(
            of_class(DeterminismClass.PINNED), asked=CacheDirectives(pool="lab2", sample=1)
        ),
        "secret": cache_key(cache_config=replace(SCHEME, secret=b"t" * 32)),
    }
    same = [(a, b) for a, b in combinations(different, 2) if different[a] == different[b]]
    assert same == []
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in different.values())


def test_calls_with_one_meaning_meet_at_one_address_whatever_else_differs() -> None:
    spelled = replace(
        CALL, body=b'{"a": 1}', units=9, length=9, determinism=Determinism(DeterminismClass.PINNED, "other")
    )
    assert cache_key(spelled) == cache_key()
    assert cache_key(cache_config=replace(SCHEME, ttl_s=5.0, classes=("exact",))) == cache_key()
    assert (
        planned(asked=CacheDirectives(no_cache=True, only_if_cached=True, max_age=3, min_fresh=4)).cache_key
        == cache_key()
    )
    # Under rules that let spellings share, the digest under those rules is what counts.
    one, other = (replace(CALL, canonical_digest=letter * 32, sharing_digest=b"k" * 32) for letter in (b"x", b"y"))
    assert cache_key(one) == cache_key(other)


@pytest.mark.parametrize(
    "purge_state",
    [
        PurgeState(1, serial=9),
        PurgeState(1, models={"large": 4}),
        PurgeState(1, purged_before=5.0),
        PurgeState(1, stale={"": 5.0, "small": 6.0}),
    ],
)
def test_purges_of_one_key_of_another_model_by_age_or_soft_ones_move_no_address(purge_state: PurgeState) -> None:
    assert cache_key(purge_state=purge_state) == cache_key()


@pytest.mark.parametrize(
    ("share", "together"),
    [("organisation", {"ada", "bob", "cyd"}), ("team", {"ada", "bob"}), ("user", {"ada"})],
)
def test_an_answer_is_shared_by_those_and_only_those_whom_the_setting_names(share: Share, together: set[str]) -> None:
    people = {"ada": person("ada", "red"), "bob": person("bob", "red"), "cyd": person("cyd", "blue")}
    cache_config = replace(SCHEME, share=share)
    mine = cache_key(cache_config=cache_config, who=people["ada"])
    assert {name for name, who in people.items() if cache_key(cache_config=cache_config, who=who) == mine} == together


@pytest.mark.parametrize(
    ("share", "of_key", "together"),
    [
        ("organisation", "team", {"ada", "bob"}),
        ("organisation", "user", {"ada"}),
        ("team", "user", {"ada"}),
        ("team", "organisation", {"ada", "bob"}),
        ("user", "organisation", {"ada"}),
        ("user", "team", {"ada"}),
    ],
)
def test_a_key_may_share_with_fewer_than_the_settings_say_and_never_with_more(
    share: Share, of_key: str, together: set[str]
) -> None:
    scope, cache_config = CacheScope(share=of_key), replace(SCHEME, share=share)
    people = {
        "ada": person("ada", "red", scope),
        "bob": person("bob", "red", scope),
        "cyd": person("cyd", "blue", scope),
    }
    mine = cache_key(cache_config=cache_config, who=people["ada"])
    assert {name for name, who in people.items() if cache_key(cache_config=cache_config, who=who) == mine} == together


def test_whoever_shares_less_than_the_organisation_reads_nothing_of_the_organisation_s() -> None:
    for of_key in ("team", "user"):
        assert cache_key(who=person("ada", "red", CacheScope(share=of_key))) != cache_key()


def test_a_plan_that_is_remembered_is_remembered_for_those_alone_who_share_it() -> None:
    people = [
        *(person(user, team) for user, team in (("ada", "red"), ("bob", "red"), ("cyd", "blue"))),
        *(person("ada", "red", CacheScope(share=share)) for share in ("organisation", "team", "user")),
        person("bob", "red", CacheScope(share="user")),
        person("ada", "red", CacheScope(classes=())),
        person("ada", "red", CacheScope(classes=("exact",))),
    ]
    for share in ("organisation", "team", "user"):
        cache_config = replace(SCHEME, share=share)
        for (one, other), cls in product(combinations(people, 2), (DeterminismClass.EXACT, DeterminismClass.PINNED)):
            if plan_scope(one, cache_config) == plan_scope(other, cache_config):
                assert planned(of_class(cls), one, cache_config) == planned(of_class(cls), other, cache_config)


def test_a_user_named_like_a_team_does_not_read_what_the_team_keeps() -> None:
    both = person("red", "red")
    assert cache_key(cache_config=replace(SCHEME, share="user"), who=both) != cache_key(
        cache_config=replace(SCHEME, share="team"), who=both
    )


PARTS = st.text("ab 1:", max_size=6)


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(PARTS, PARTS, PARTS))
@settings(max_examples=200, deadline=None)
def test_no_choice_of_names_makes_two_different_calls_meet(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    def of(team: str, model: str, upstream: str) -> str:
        return cache_key(
            replace(CALL, model=model), person("ada", team), replace(SCHEME, share="team", upstream=upstream)
        )

    assert (of(*one) == of(*other)) == (one == other)


def test_a_separator_within_a_name_does_not_pass_for_the_end_of_it() -> None:
    team = replace(SCHEME, share="team")
    assert cache_key(replace(CALL, model="b c"), person("ada", "a"), team) != cache_key(
        replace(CALL, model="c"), person("ada", "a b"), team
    )


def test_nothing_of_a_call_can_be_read_from_its_plan() -> None:
    shown = repr(planned(replace(CALL, model="secret-model")))
    assert not re.search("secret-model|ada|upstream.example", shown)


@pytest.mark.parametrize(
    ("cls", "classes", "reason"),
    [
        (DeterminismClass.EXACT, ("exact", "pinned"), None),
        (DeterminismClass.PINNED, ("exact", "pinned"), None),
        (DeterminismClass.EXACT, ("exact",), None),
        (DeterminismClass.PINNED, ("exact",), "pinned"),
        (DeterminismClass.EXACT, (), "exact"),
        (DeterminismClass.UNKNOWN, ("exact", "pinned"), "unknown"),
        (DeterminismClass.SAMPLED, ("exact", "pinned"), "sampled"),
        # A setting that names it does not make chance repeatable.
        (DeterminismClass.SAMPLED, ALL_CLASSES, "sampled"),
    ],
)
def test_only_the_classes_that_the_settings_name_are_kept(
    cls: DeterminismClass, classes: tuple[str, ...], reason: str
) -> None:
    made = planned(of_class(cls), cache_config=replace(SCHEME, classes=classes))
    assert (made.cache_key is None, made.storable, made.readable) == (bool(reason), not reason, not reason)
    assert made.reason == (reason or cls)


@pytest.mark.parametrize(
    ("of_settings", "of_key", "kept"),
    [
        (("exact", "pinned"), ("exact",), {"exact"}),
        (("exact", "pinned"), None, {"exact", "pinned"}),
        (("exact", "pinned"), (), set()),
        (("exact",), ("exact", "pinned"), {"exact"}),
        (("exact",), ("pinned",), set()),
        (("exact", "pinned"), ALL_CLASSES, {"exact", "pinned"}),
    ],
)
def test_a_key_keeps_no_class_that_the_settings_do_not(
    of_settings: tuple[str, ...], of_key: tuple[str, ...] | None, kept: set[str]
) -> None:
    who, cache_config = person("ada", "red", CacheScope(classes=of_key)), replace(SCHEME, classes=of_settings)
    assert {cls.value for cls in DeterminismClass if planned(of_class(cls), who, cache_config).storable} == kept


def test_a_sample_of_a_pool_is_kept_for_everybody_who_asks_for_the_same() -> None:
    sampled, third = of_class(DeterminismClass.SAMPLED), CacheDirectives(pool="lab", sample=3)
    made = planned(sampled, asked=third)
    assert (made.storable, made.readable, made.first_write_wins, made.reason) == (True, True, True, "sampled")
    assert made.cache_key == planned(sampled, person("bob", "blue"), asked=third).cache_key
    others = [
        planned(sampled, asked=asked).cache_key
        for asked in (
            CacheDirectives(pool="lab", sample=4),
            CacheDirectives(pool="other", sample=3),
            CacheDirectives(pool="la", sample=13),
        )
    ]
    flagged = planned(replace(sampled, flagged=True), asked=third).cache_key
    assert len({made.cache_key, flagged, *others}) == 5


def test_of_an_exact_call_every_sample_is_the_one_answer() -> None:
    assert planned(asked=CacheDirectives(pool="lab", sample=3)).cache_key == cache_key()


def test_the_reason_of_a_bypass_is_the_first_that_holds() -> None:
    sampled, off, no_store = (
        of_class(DeterminismClass.SAMPLED),
        replace(SCHEME, enabled=False),
        CacheDirectives(no_store=True),
    )
    assert shared_plan(sampled, ADA, off, None, False, no_store).reason == "disabled"
    assert shared_plan(sampled, ADA, SCHEME, None, False, no_store).reason == "endpoint"
    assert shared_plan(sampled, ADA, SCHEME, None, True, no_store).reason == "no-store"
    assert shared_plan(sampled, ADA, SCHEME, None, True, NO_DIRECTIVES).reason == "sampled"
    assert shared_plan(CALL, ADA, SCHEME, None, True, NO_DIRECTIVES).reason == "store"


def test_every_reason_that_is_given_for_a_bypass_is_on_the_list() -> None:
    switch = (True, False)
    for cls, enabled, cacheable, no_store, purge_state in product(
        DeterminismClass, switch, switch, switch, (MARKS, None)
    ):
        cache_config = replace(SCHEME, enabled=enabled, classes=("exact",))
        made = shared_plan(of_class(cls), ADA, cache_config, purge_state, cacheable, CacheDirectives(no_store=no_store))
        assert made.storable or made.reason in BYPASS_REASONS
        assert made.storable or not made.readable


def test_without_sight_of_the_store_equal_calls_still_find_each_other() -> None:
    made = planned(purge_state=None)
    assert made.cache_key == planned(purge_state=None).cache_key is not None
    assert (made.store_reachable, made.storable, made.readable, made.ttl_s, made.first_write_wins) == (
        False,
        False,
        False,
        0,
        False,
    )


def test_the_first_of_several_pinned_answers_is_kept_unless_a_new_one_was_asked_for() -> None:
    pinned = of_class(DeterminismClass.PINNED)
    assert planned(pinned).first_write_wins
    assert not planned(pinned, asked=CacheDirectives(no_cache=True)).first_write_wins
    assert not planned().first_write_wins


def test_no_cache_forbids_reading_and_allows_keeping() -> None:
    made = planned(asked=CacheDirectives(no_cache=True))
    assert (made.readable, made.storable, made.ttl_s) == (False, True, SCHEME.ttl_s)


def test_the_plan_takes_from_the_marks_what_concerns_its_model() -> None:
    purge_state = PurgeState(1, purged_before=5.0, stale={"": 6.0, "small": 7.0, "large": 8.0})
    made = planned(purge_state=purge_state, cache_config=replace(SCHEME, stale_if_error_s=9.0))
    assert (made.purged_before, made.stale_before, made.stale_if_error_s, made.ttl_s) == (5.0, 7.0, 9.0, SCHEME.ttl_s)
    assert planned(replace(CALL, model="other"), purge_state=purge_state).stale_before == 6.0


@pytest.mark.parametrize("cls", list(DeterminismClass))
def test_a_namespace_keeps_the_first_answer_to_calls_of_any_class_for_ever(cls: DeterminismClass) -> None:
    made = in_namespace(of_class(cls))
    assert (made.storable, made.readable, made.first_write_wins) == (True, True, True)
    answer = Answer(b"{}", 1.0, cls)
    assert made.satisfies(answer, 4e9)
    assert in_namespace(of_class(cls), asked=CacheDirectives(max_age=0, min_fresh=2**31)).satisfies(answer, 4e9)


def test_records_lie_apart_by_namespace_flag_call_sample_and_secret_and_by_nothing_else() -> None:
    different = {
        "of nobody": cache_key(),
        "itself": in_namespace().cache_key,
        "another namespace": in_namespace(name="paper2").cache_key,
        "flag": in_namespace(replace(CALL, flagged=True)).cache_key,
        "canonical": in_namespace(replace(CALL, canonical_digest=b"d" * 32)).cache_key,
        "sample": in_namespace(asked=CacheDirectives(sample=2)).cache_key,
        "pool": in_namespace(asked=CacheDirectives(pool="p", sample=2)).cache_key,
        "secret": in_namespace(cache_config=replace(SCHEME, secret=b"t" * 32)).cache_key,
    }
    assert len(set(different.values())) == len(different)
    elsewhere = replace(SCHEME, rule_set="sampler-1", upstream="https://other.example", share="user", enabled=False)
    assert in_namespace(cache_config=elsewhere).cache_key == in_namespace().cache_key
    # The rules that let spellings share do not reach a record.
    assert in_namespace(replace(CALL, sharing_digest=b"k" * 32)).cache_key == in_namespace().cache_key


def test_what_is_not_to_be_stored_is_not_recorded_either() -> None:
    made = in_namespace(asked=CacheDirectives(no_store=True, namespace="paper"))
    assert (made.cache_key, made.reason, made.storable) == (None, "no-store", False)
