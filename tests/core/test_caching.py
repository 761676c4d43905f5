"""Where an answer lives: what sets two addresses apart, when there is none, and how the caller is told."""

import re
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.caching import (
    BYPASS_REASONS,
    NO_WISH,
    Plan,
    Scheme,
    Share,
    Wish,
    plan,
    status_forwarded,
    status_hit,
    wish,
)
from gateway.core.nouns import Call, Class, Determinism, KeyRecord, Principal

SCHEME = Scheme(b"s" * 32, "https://upstream.example")
CALL = Call(
    "generate", "/api/v1/generate", "small", False, b"{}", b"c" * 32, 7, 7, Determinism(Class.EXACT, "one step")
)
ADA = Principal(KeyRecord("k1", "d1", "ada", "red", 0.0))
ALL_CLASSES = ("exact", "pinned", "sampled", "unknown")

# RFC 8941 section 3: a token, and parameters with an integer, a token or nothing as their value; RFC 9211 section 2.
CACHE_STATUS = re.compile(r"[A-Za-z*][\w!#$%&'*+.^`|~:/-]*(; [a-z*][a-z0-9_.*-]*(=(-?\d{1,15}|[A-Za-z*][\w.-]*))?)+")


def of_class(cls: Class) -> Call:
    return replace(CALL, determinism=Determinism(cls, "a rule"))


def planned(
    call: Call = CALL, who: Principal = ADA, scheme: Scheme = SCHEME, epoch: int | None = 1, asked: Wish = NO_WISH
) -> Plan:
    return plan(call, who, scheme, epoch, True, asked)


def address(call: Call = CALL, who: Principal = ADA, scheme: Scheme = SCHEME, epoch: int | None = 1) -> str:
    found = planned(call, who, scheme, epoch).address
    assert found is not None
    return found


def person(user: str, team: str) -> Principal:
    return Principal(KeyRecord(f"key of {user}", "d", user, team, 0.0))


def test_whatever_may_set_two_answers_apart_sets_their_addresses_apart() -> None:
    team, user = replace(SCHEME, share="team"), replace(SCHEME, share="user")
    different = {
        "itself": address(),
        "upstream": address(scheme=replace(SCHEME, upstream="https://other.example")),
        "epoch": address(epoch=2),
        "no epoch": address(epoch=None),
        "by team": address(scheme=team),
        "another team": address(scheme=team, who=person("ada", "blue")),
        "by user": address(scheme=user),
        "another user": address(scheme=user, who=person("bob", "red")),
        "flag": address(replace(CALL, flagged=True)),
        "model": address(replace(CALL, model="large")),
        "canonical": address(replace(CALL, canonical=b"d" * 32)),
        "secret": address(scheme=replace(SCHEME, secret=b"t" * 32)),
    }
    same = [(a, b) for a, b in combinations(different, 2) if different[a] == different[b]]
    assert same == []
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in different.values())


def test_calls_with_one_meaning_meet_at_one_address_whatever_else_differs() -> None:
    spelled = replace(CALL, body=b'{"a": 1}', units=9, length=9, determinism=Determinism(Class.PINNED, "other"))
    assert address(spelled) == address()
    assert address(scheme=replace(SCHEME, ttl_s=5.0, classes=("exact",))) == address()
    assert planned(asked=Wish(no_cache=True, only_if_cached=True)).address == address()


@pytest.mark.parametrize(
    ("share", "together"),
    [("organisation", {"ada", "bob", "cyd"}), ("team", {"ada", "bob"}), ("user", {"ada"})],
)
def test_an_answer_is_shared_by_those_and_only_those_whom_the_setting_names(share: Share, together: set[str]) -> None:
    people = {"ada": person("ada", "red"), "bob": person("bob", "red"), "cyd": person("cyd", "blue")}
    scheme = replace(SCHEME, share=share)
    mine = address(scheme=scheme, who=people["ada"])
    assert {name for name, who in people.items() if address(scheme=scheme, who=who) == mine} == together


def test_a_user_named_like_a_team_does_not_read_what_the_team_keeps() -> None:
    both = person("red", "red")
    assert address(scheme=replace(SCHEME, share="user"), who=both) != address(
        scheme=replace(SCHEME, share="team"), who=both
    )


PARTS = st.text("ab 1:", max_size=6)


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(PARTS, PARTS, PARTS))
@settings(max_examples=200, deadline=None)
def test_no_choice_of_names_makes_two_different_calls_meet(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    def of(team: str, model: str, upstream: str) -> str:
        return address(
            replace(CALL, model=model), person("ada", team), replace(SCHEME, share="team", upstream=upstream)
        )

    assert (of(*one) == of(*other)) == (one == other)


def test_a_separator_within_a_name_does_not_pass_for_the_end_of_it() -> None:
    team = replace(SCHEME, share="team")
    assert address(replace(CALL, model="b c"), person("ada", "a"), team) != address(
        replace(CALL, model="c"), person("ada", "a b"), team
    )


def test_nothing_of_a_call_can_be_read_from_its_plan() -> None:
    shown = repr(planned(replace(CALL, model="secret-model")))
    assert not re.search("secret-model|ada|upstream.example", shown)


@pytest.mark.parametrize(
    ("cls", "classes", "reason"),
    [
        (Class.EXACT, ("exact", "pinned"), None),
        (Class.PINNED, ("exact", "pinned"), None),
        (Class.EXACT, ("exact",), None),
        (Class.PINNED, ("exact",), "pinned"),
        (Class.EXACT, (), "exact"),
        (Class.UNKNOWN, ("exact", "pinned"), "unknown"),
        (Class.SAMPLED, ("exact", "pinned"), "sampled"),
        # A setting that names it does not make chance repeatable.
        (Class.SAMPLED, ALL_CLASSES, "sampled"),
    ],
)
def test_only_the_classes_that_the_settings_name_are_kept(cls: Class, classes: tuple[str, ...], reason: str) -> None:
    made = planned(of_class(cls), scheme=replace(SCHEME, classes=classes))
    assert (made.address is None, made.storable, made.readable) == (bool(reason), not reason, not reason)
    assert made.reason == (reason or cls)


def test_the_reason_of_a_bypass_is_the_first_that_holds() -> None:
    sampled, off, no_store = of_class(Class.SAMPLED), replace(SCHEME, enabled=False), Wish(no_store=True)
    assert plan(sampled, ADA, off, None, False, no_store).reason == "disabled"
    assert plan(sampled, ADA, SCHEME, None, False, no_store).reason == "endpoint"
    assert plan(sampled, ADA, SCHEME, None, True, no_store).reason == "no-store"
    assert plan(sampled, ADA, SCHEME, None, True, NO_WISH).reason == "sampled"
    assert plan(CALL, ADA, SCHEME, None, True, NO_WISH).reason == "store"


def test_every_reason_that_is_given_for_a_bypass_is_on_the_list() -> None:
    switch = (True, False)
    for cls, enabled, cacheable, no_store, epoch in product(Class, switch, switch, switch, (1, None)):
        scheme = replace(SCHEME, enabled=enabled, classes=("exact",))
        made = plan(of_class(cls), ADA, scheme, epoch, cacheable, Wish(no_store=no_store))
        assert made.storable or made.reason in BYPASS_REASONS
        assert made.storable or not made.readable


def test_without_sight_of_the_store_equal_calls_still_find_each_other() -> None:
    made = planned(epoch=None)
    assert made.address == planned(epoch=None).address is not None
    assert (made.in_sight, made.storable, made.readable, made.ttl_s, made.keep_first) == (False, False, False, 0, False)


def test_the_first_of_several_pinned_answers_is_kept_unless_a_new_one_was_asked_for() -> None:
    pinned = of_class(Class.PINNED)
    assert planned(pinned).keep_first
    assert not planned(pinned, asked=Wish(no_cache=True)).keep_first
    assert not planned().keep_first


def test_no_cache_forbids_reading_and_allows_keeping() -> None:
    made = planned(asked=Wish(no_cache=True))
    assert (made.readable, made.storable, made.ttl_s) == (False, True, SCHEME.ttl_s)


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (None, Wish()),
        ("", Wish()),
        ("no-cache", Wish(no_cache=True)),
        ("NO-CACHE", Wish(no_cache=True)),
        ("  no-store\t", Wish(no_store=True)),
        ("no-cache,no-store", Wish(no_cache=True, no_store=True)),
        ("max-age=0, only-if-cached", Wish(only_if_cached=True)),
        ("no-cache=1", Wish(no_cache=True)),
        (",, no-store ,", Wish(no_store=True)),
        ("max-age=60, min-fresh=5, private", Wish()),
        ("no-cached, xno-store, no store, nocache", Wish()),
        ("foo=no-store", Wish()),
        ("no-store; no-cache", Wish()),
    ],
)
def test_cache_control_is_read_as_the_rfc_has_it(header: str | None, meant: Wish) -> None:
    assert wish(header) == meant


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_an_odd_cache_control_stops_no_call(header: str) -> None:
    assert isinstance(wish(header), Wish)


def members(status: str) -> dict[str, str]:
    """Cache-Status as a mapping, once it is known to be well formed; the cache's own name under ""."""
    assert CACHE_STATUS.fullmatch(status), status
    name, *parameters = status.split("; ")
    said = dict([name.partition("=")[::2] for name in parameters])
    assert len(said) == len(parameters), "a parameter stands there twice"
    assert set(said) <= {"hit", "fwd", "fwd-status", "ttl", "stored", "collapsed", "detail"}  # Never "key".
    return {"": name, **said}


@pytest.mark.parametrize(("ttl", "shown"), [(60.9, "60"), (0.0, "0"), (-5.0, "-5"), (2_592_000.0, "2592000")])
@pytest.mark.parametrize("cls", [Class.EXACT, Class.PINNED])
def test_a_hit_is_told_with_what_is_left_of_it_and_its_class(cls: Class, ttl: float, shown: str) -> None:
    said = members(status_hit(cls, ttl))
    assert said == {"": "esm-gateway", "hit": "", "ttl": shown, "detail": cls.value}


@pytest.mark.parametrize(
    ("made", "why", "detail"),
    [
        (planned(), "miss", "exact"),
        (planned(of_class(Class.PINNED)), "miss", "pinned"),
        (planned(asked=Wish(no_cache=True)), "request", "exact"),
        (planned(asked=Wish(no_store=True)), "bypass", "no-store"),
        (planned(of_class(Class.SAMPLED), asked=Wish(no_cache=True)), "bypass", "sampled"),
        (planned(epoch=None, asked=Wish(no_cache=True)), "bypass", "store"),
        (plan(CALL, ADA, SCHEME, 1, False, NO_WISH), "bypass", "endpoint"),
        (planned(scheme=replace(SCHEME, enabled=False)), "bypass", "disabled"),
    ],
)
def test_a_computed_answer_is_told_with_why_it_was_computed(made: Plan, why: str, detail: str) -> None:
    for stored, collapsed in product((True, False), repeat=2):
        status = status_forwarded(made, stored=stored, collapsed=collapsed)
        said = members(status)
        assert (said["fwd"], said["detail"]) == (why, detail)
        assert ("stored" in said, "collapsed" in said, "hit" in said) == (stored, collapsed, False)
        assert made.address is None or made.address not in status


def test_every_reason_for_a_bypass_is_explained_to_scientists() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "caching.md").read_text("utf-8")
    explained = page.split("`detail` is")[1].split("##")[0]
    assert [reason for reason in BYPASS_REASONS if f"`{reason}`" not in explained] == []
