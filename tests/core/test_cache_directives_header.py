"""What callers ask of the cache: `Cache-Control` as RFC 9111 has it, and the three words of our own."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.cache_directives import (
    DIRECTIVES,
    MAX_SAMPLE,
    NO_DIRECTIVES,
    CacheDirectives,
    parse_directives,
    response_forbids_storing,
)
from gateway.core.problems import CACHE_CONTROL_INVALID, CACHE_CONTROL_REFUSED, Problem

ANY = 2**31


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        (None, CacheDirectives()),
        ("", CacheDirectives()),
        ("no-cache", CacheDirectives(no_cache=True)),
        ("NO-CACHE", CacheDirectives(no_cache=True)),
        ("  no-store\t", CacheDirectives(no_store=True)),
        ("no-cache,no-store", CacheDirectives(no_cache=True, no_store=True)),
        ("max-age=0, only-if-cached", CacheDirectives(max_age=0, only_if_cached=True)),
        ("no-cache=1", CacheDirectives(no_cache=True)),
        (",, no-store ,", CacheDirectives(no_store=True)),
        ("max-age=60, min-fresh=5, private", CacheDirectives(max_age=60, min_fresh=5)),
        ("Max-Age=60", CacheDirectives(max_age=60)),
        ("max-age = 60", CacheDirectives(max_age=60)),
        ('max-age="60", min-fresh="5", max-stale="7"', CacheDirectives(max_age=60, min_fresh=5, max_stale=7)),
        ("max-stale", CacheDirectives(max_stale=ANY)),
        ("max-stale=30", CacheDirectives(max_stale=30)),
        ("max-stale=0", CacheDirectives(max_stale=0)),
        ("no-cached, xno-store, no store, nocache", CacheDirectives()),
        ("foo=no-store", CacheDirectives()),
        ("s-maxage=x, stale-while-revalidate, no_cache, max-agee=1h", CacheDirectives()),
        ("max-age=0060", CacheDirectives(max_age=60)),
        # RFC 9111 section 1.2.2: at least 2^31 for what is larger.
        (f"max-age={ANY}", CacheDirectives(max_age=ANY)),
        (f"max-age={ANY + 1}, max-stale={10**18}", CacheDirectives(max_age=ANY, max_stale=ANY)),
        (f"min-fresh={'9' * 5000}", CacheDirectives(min_fresh=ANY)),
        # Of repeated ones the first counts (RFC 9111 section 4.2.1).
        ("max-age=5, max-age=9", CacheDirectives(max_age=5)),
        ("pool=a, pool=b", CacheDirectives(pool="a", sample=1)),
        # What stands in quotes is one value, commas and all (RFC 9110 section 5.6.4).
        ('x="a, no-store, b", no-cache', CacheDirectives(no_cache=True)),
        (r'x="a\", no-store, \"", no-cache', CacheDirectives(no_cache=True)),
        ('x="a, no-store', CacheDirectives()),
        ("pool=lab, sample=3", CacheDirectives(pool="lab", sample=3)),
        ('POOL="Lab.1_-", Sample="3"', CacheDirectives(pool="Lab.1_-", sample=3)),
        ("sample=10000,pool=lab", CacheDirectives(pool="lab", sample=MAX_SAMPLE)),
        ("pool=lab", CacheDirectives(pool="lab", sample=1)),
        ("namespace=paper-2026", CacheDirectives(namespace="paper-2026")),
        ("namespace=paper-2026, sample=2", CacheDirectives(namespace="paper-2026", sample=2)),
        (f"namespace={'n' * 64}", CacheDirectives(namespace="n" * 64)),
    ],
)
def test_cache_control_is_read_as_the_rfc_has_it(header: str | None, meant: CacheDirectives) -> None:
    assert parse_directives(header) == meant


@pytest.mark.parametrize("header", [None, "", "private", "max-foo=x"])
def test_whoever_asks_for_nothing_has_the_one_wish_for_nothing(header: str | None) -> None:
    assert parse_directives(header) is NO_DIRECTIVES


def test_a_wish_far_back_in_a_long_header_counts_whole() -> None:
    assert parse_directives("x=" + "y" * 3000 + ", namespace=paper-2026").namespace == "paper-2026"


@pytest.mark.parametrize(
    ("header", "about"),
    [
        ("pool=", "pool"),
        ("pool", "pool"),
        ('pool="a b"', "pool"),
        ("pool=-a", "pool"),
        ("pool=a/b", "pool"),
        ("pool=é", "pool"),
        (f"pool={'p' * 65}", "pool"),
        ("namespace=", "namespace"),
        ("namespace=a:b", "namespace"),
        (f"namespace={'n' * 65}", "namespace"),
        ("pool=lab, sample=0", "sample"),
        ("pool=lab, sample=-1", "sample"),
        ("pool=lab, sample", "sample"),
        ("pool=lab, sample=1.5", "sample"),
        (f"pool=lab, sample={MAX_SAMPLE + 1}", "sample"),
        ("pool=lab, sample=٣", "sample"),
        ("sample=3", "sample"),
    ],
)
def test_a_word_of_ours_that_says_nothing_is_refused_by_its_name(header: str, about: str) -> None:
    with pytest.raises(Problem) as refusal:
        parse_directives(header)
    assert refusal.value.type is CACHE_CONTROL_INVALID
    assert refusal.value.detail.startswith(about)


@pytest.mark.parametrize("name", ["max-age", "min-fresh", "max-stale"])
@pytest.mark.parametrize(
    "value",
    [
        "=1h",
        "=-1",
        "=",
        '=""',
        "=abc",
        "=1.5",
        "=+1",
        "=1e3",
        "=٣",
        "=60s",
        "=6 0",
        '="60',
        "='60'",
        "=60;",
        ":60",
        " 60",
    ],
)
def test_an_age_that_cannot_be_read_is_refused_in_words_wherever_it_stands(name: str, value: str) -> None:
    """As good as ignored, it would bring an answer of any age to somebody who has just said that it matters."""
    for header in (
        f"{name}{value}",
        f"no-cache, {name}{value}",
        f"{name.title()}{value}, foo",
        f"{name}=5, {name}{value}",
    ):
        with pytest.raises(Problem) as refusal:
            parse_directives(header)
        assert refusal.value.type is CACHE_CONTROL_INVALID
        assert refusal.value.detail.startswith(name)
        assert "abc" not in refusal.value.detail


@pytest.mark.parametrize("header", ["max-age", "min-fresh", "max-age, max-age=5", "private, min-fresh"])
def test_an_age_without_a_number_is_refused_but_for_max_stale(header: str) -> None:
    with pytest.raises(Problem):
        parse_directives(header)


@pytest.mark.parametrize(
    ("header", "about"),
    [
        ("no-store; no-cache", "no-store"),
        ("no-cache;foo", "no-cache"),
        ('"no-cache"', "no-cache"),
        ('"max-age=60"', "max-age"),
        ("foo=1, only-if-cached;", "only-if-cached"),
        ("max-age 60", "max-age"),
    ],
)
def test_what_is_no_directive_and_begins_like_one_is_refused(header: str, about: str) -> None:
    with pytest.raises(Problem) as refusal:
        parse_directives(header)
    assert refusal.value.detail.startswith(about)


@pytest.mark.parametrize(
    ("header", "forbids"),
    [
        (None, False),
        ("", False),
        ("no-store", True),
        ("No-StOrE", True),
        ("max-age=10000, no-store", True),
        ("private, no-store=x", True),
        ("no-cache, no-stored", False),
        ('x="no-store"', False),
        ('x="a, no-store"', False),
        ("no-store-please", False),
    ],
)
def test_a_response_says_whether_it_may_be_kept(header: str | None, forbids: bool) -> None:
    assert response_forbids_storing(header) is forbids


def test_a_sample_needs_no_pool_where_the_key_reads_a_namespace() -> None:
    assert parse_directives("sample=3", in_namespace=True) == CacheDirectives(sample=3)


ALL = "no-cache, no-store, only-if-cached, max-age=1, min-fresh=1, max-stale, pool=lab, sample=2, namespace=paper"


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_key_uses_the_directives_of_its_scope_and_is_told_which_other_it_may_not(name: str) -> None:
    (part,) = [part for part in ALL.split(", ") if part.partition("=")[0] == name]
    header = f"{part}, pool=lab" if name == "sample" else part
    others = tuple(other for other in DIRECTIVES if other != name)
    with pytest.raises(Problem) as refusal:
        parse_directives(header, others)
    assert refusal.value.type is CACHE_CONTROL_REFUSED
    assert refusal.value.detail.endswith(f": {name}.")
    assert parse_directives(header, (name, "pool")) == parse_directives(header)


def test_every_refused_directive_is_named_and_no_other() -> None:
    with pytest.raises(Problem) as refusal:
        parse_directives(ALL, ("max-age", "pool", "sample"))
    told = refusal.value.detail.partition(": ")[2].rstrip(".").split(", ")
    assert set(told) == set(DIRECTIVES) - {"max-age", "pool", "sample"}


def test_a_key_without_directives_may_ask_for_nothing_and_is_not_refused_for_it() -> None:
    assert parse_directives("private, foo=bar, max-foo=x", ()) is NO_DIRECTIVES
    assert parse_directives(ALL, None) == parse_directives(ALL)


def test_every_directive_is_a_part_of_the_wish() -> None:
    assert parse_directives(ALL).names == DIRECTIVES


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_an_odd_cache_control_stops_no_call(header: str) -> None:
    assert isinstance(parse_directives(header), CacheDirectives)


PIECES = st.lists(st.sampled_from([*DIRECTIVES, "=", '"', ";", ",", " ", "60", "x", "\\", "é"]), max_size=8)


@given(PIECES)
@settings(max_examples=200, deadline=None)
def test_whatever_is_made_of_their_pieces_is_read_or_refused(pieces: list[str]) -> None:
    try:
        read: object = parse_directives("".join(pieces))
    except Problem as problem:
        read = problem.type
    assert read is CACHE_CONTROL_INVALID or isinstance(read, CacheDirectives)


NOISE = st.lists(st.sampled_from(["private", "x=1", 'y="a,b"', "", " ", "max-agee=x", "no-cachet"]), max_size=4)


@given(NOISE, NOISE, st.permutations(ALL.split(", ")))
@settings(max_examples=60, deadline=None)
def test_neither_order_nor_what_is_unknown_changes_a_wish(
    before: list[str], after: list[str], parts: list[str]
) -> None:
    assert parse_directives(",".join([*before, *parts, *after])) == parse_directives(ALL)


N = 50_000


@pytest.mark.parametrize(
    "header",
    ['"' * N, '"\\' * N, ',"' * N, "a" * N, "a =" * N, "a" + " " * N + "x", "a=" + " " * N, 'a="' + "\\" * N],
    ids=range(8),
)
def test_reading_a_header_takes_no_longer_than_its_length_explains(header: str) -> None:
    """Where a pattern goes back and forth, this takes many seconds of the processor; else some hundredths."""
    began = time.process_time()
    assert parse_directives(header) is NO_DIRECTIVES
    assert time.process_time() - began < 2
