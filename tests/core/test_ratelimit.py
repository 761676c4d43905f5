"""RateLimit and RateLimit-Policy: structured lists (RFC 8941 section 3.1) that name limits, never holders."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.quota import (
    LimitConfig,
    LimitStatus,
    ratelimit_fields,
    ratelimit_policy,
    ratelimit_state,
    with_fields,
)
from gateway.core.types import KeyRecord, Limits, Principal

CEILING = st.none() | st.integers(1, 10**12)
LIMITS = st.builds(Limits, CEILING, CEILING, CEILING, CEILING)
# RFC 8941 section 3.3.3: a quoted string without quotes or backslashes; 3.3.1: an integer of at most 15 digits.
ITEM = re.compile(r'"(?P<name>[ !#-\[\]-~]+)"(?P<parameters>(?:;[a-z]+=(?:-?\d{1,15}|"[a-z-]+"))*)')


def items(field: str) -> dict[str, dict[str, int | str]]:
    read: dict[str, dict[str, int | str]] = {}
    for text in field.split(", ") if field else []:
        item = ITEM.fullmatch(text)
        assert item is not None, text
        pairs = [pair.split("=") for pair in item["parameters"].split(";")[1:]]
        read[item["name"]] = {name: value if value[0] == '"' else int(value) for name, value in pairs}
        assert len(read[item["name"]]) == len(pairs), "a parameter stands there twice"
    return read


def person(limits: Limits) -> Principal:
    return Principal(KeyRecord("k3y1d", "digest", "ada", "red", 0.0, limits=limits))


@given(LIMITS, LIMITS)
@settings(deadline=None)
def test_the_policy_lists_every_ceiling_once_with_its_amount_and_window(user: Limits, key: Limits) -> None:
    limits = LimitConfig(user).all(person(key))
    read = items(ratelimit_policy(limits))
    assert list(read) == [limit.name for limit in limits]
    for limit in limits:
        window = {} if limit.kind == "concurrency" else {"w": limit.window_s}
        # What is counted: requests, where nothing is said; a budget of units is not to be read as one of requests.
        counted = {"concurrency": {"qu": '"concurrent-requests"'}, "units": {"qu": '"esmgw-units"'}}.get(limit.kind, {})
        assert read[limit.name] == {"q": limit.amount, **counted, **window}


@given(LIMITS, st.integers(0, 10**12), st.floats(0, 86_400))
@settings(deadline=None)
def test_the_state_says_what_is_left_and_never_promises_it_too_early(
    user: Limits, remaining: int, reset_s: float
) -> None:
    statuses = [LimitStatus(limit, remaining, reset_s) for limit in LimitConfig(user).all(person(Limits()))]
    read = items(ratelimit_state(statuses))
    assert list(read) == [status.limit.name for status in statuses]
    for shown in read.values():
        assert set(shown) == {"r", "t"}
        assert shown["r"] == remaining
        assert reset_s <= int(shown["t"]) <= reset_s + 1


def test_the_fields_read_as_in_the_draft() -> None:
    limits = LimitConfig(Limits(600, None, 8, 1000)).all(person(Limits()))
    assert ratelimit_fields(limits, [LimitStatus(limits[0], 599, 0.1)]) == {
        "RateLimit-Policy": '"user-requests";q=600;w=60, "user-concurrent";q=8;qu="concurrent-requests", '
        '"user-units";q=1000;qu="esmgw-units";w=86400',
        "RateLimit": '"user-requests";r=599;t=1',
    }


def test_fields_of_two_charges_make_one_list() -> None:
    one = {"RateLimit-Policy": '"a";q=1', "RateLimit": '"a";r=1;t=1'}
    other = {"RateLimit-Policy": '"a";q=1', "RateLimit": '"b";r=2;t=2', "Retry-After": "1"}
    both = {"RateLimit-Policy": '"a";q=1', "RateLimit": '"a";r=1;t=1, "b";r=2;t=2', "Retry-After": "1"}
    assert with_fields(one, other) == both
    assert (with_fields(one, {}), with_fields({}, one), with_fields({}, {})) == (one, one, {})


def test_who_is_limited_is_not_said() -> None:
    limits = LimitConfig(Limits(600, 5, 8, 1000)).all(person(Limits(6, 5, 8, 10)))
    said = ratelimit_fields(limits, [LimitStatus(limit, 1, 1.0) for limit in limits])
    assert not re.search("ada|k3y1d|red", " ".join(said.values()))
