"""A flood of refusals in a bounded number of records, none of them missing from a count."""

import gc
import random
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice

import pytest

from gateway.core.audit import ChainHead, Event, link
from gateway.core.audit_summary import (
    FIRST_WINDOW_S,
    LONGEST_WINDOW_S,
    MOST_NAMED,
    MOST_TOLD_APART,
    MOST_USERS,
    SINGLE_EVERY_S,
    SINGLES,
    Refusal,
    RefusalWindows,
    Window,
)

REFUSAL = Refusal(
    policy="concern",
    mode="enforce",
    reason="Ask an administrator for an approval; only if the declaration was a mistake, send the call again without "
    "potential_sequence_of_concern.",
    user="a.person@a-long-name-of-an-institute.example.org",
    team="structural-biology-and-proteomics",
    key="k" * 16,
    endpoint="forward_and_sample",
    model="esm3-medium-multimer-2024-09",
    call="c" * 64,
    at=0.0,
)
HOUR = 3600.0


def digest(number: int) -> str:
    return f"{number:064x}"


class Lab:
    """One worker's windows, looked at every five seconds, and what it has recorded."""

    def __init__(self) -> None:
        self.windows, self.now, self.refused = RefusalWindows(), 1000.0, 0
        self.singles: list[tuple[float, Refusal]] = []
        self.summaries: list[tuple[float, Window]] = []

    def refuse(self, **changes: str) -> bool:
        refusal = replace(REFUSAL, at=self.now, **changes)
        self.refused += 1
        single = self.windows.add(refusal, self.now)
        if single:
            self.singles.append((self.now, refusal))
        return single

    def until(self, end: float) -> None:
        while self.now < end:
            self.now = min(end, self.now - self.now % 5 + 5)
            self.summaries += [(self.now, window) for window in self.windows.due(self.now)]

    def stop(self) -> None:
        self.summaries += [(self.now, window) for window in self.windows.close()]

    def on_record(self) -> int:
        return len(self.singles) + sum(window.refused for _, window in self.summaries)

    def bytes_between(self, start: float, end: float) -> int:
        """The size of the file that was written then."""
        size, head = 0, ChainHead(10**9, "0" * 64)
        about = {"request": "r" * 32, "details": {}, **{name: getattr(REFUSAL, name) for name in REFUSAL.__slots__}}
        events = [Event("policy_refused", at + 0.123456, about) for at, _ in self.singles if start <= at < end]
        events += [Event("policy_refusals", at, window.facts()) for at, window in self.summaries if start <= at < end]
        for event in events:
            line, head = link(b"secret", head, event)
            size += len(line)
        return size


def test_the_first_few_refusals_are_records_of_their_own_and_the_rest_is_one() -> None:
    lab = Lab()
    assert [lab.refuse(call=digest(i)) for i in range(50)] == [True] * SINGLES + [False] * (50 - SINGLES)
    lab.until(1000.0 + FIRST_WINDOW_S - 1)
    assert lab.summaries == []
    lab.until(1000.0 + FIRST_WINDOW_S + 5)
    [(_, window)] = lab.summaries
    facts = window.facts()
    assert facts["refused"] == 50 - SINGLES
    assert (facts["first_at"], facts["last_at"]) == (1000.0, 1000.0)
    assert (facts["user"], facts["team"], facts["keys"]) == (REFUSAL.user, REFUSAL.team, [REFUSAL.key])
    assert facts["calls"] == [digest(i) for i in range(SINGLES, SINGLES + MOST_NAMED)]
    assert facts["different_calls"] == MOST_TOLD_APART
    assert "users" not in facts


def test_a_flood_that_stops_is_on_record_by_itself() -> None:
    lab = Lab()
    for _ in range(10):
        lab.refuse()
    lab.until(1000.0 + 2 * FIRST_WINDOW_S)
    assert lab.on_record() == 10


def test_windows_grow_from_a_minute_to_an_hour_while_it_goes_on() -> None:
    lab = Lab()
    while lab.now < 1000.0 + 6 * HOUR:
        lab.refuse()
        lab.until(lab.now + 5)
    lengths = [round((window.last.at - window.first_at) / 60) for _, window in lab.summaries]
    assert lengths == [1, 2, 4, 8, 16, 32, *[60] * (len(lengths) - 6)]
    assert len(lengths) >= 9
    spans = [(window.first_at, window.last.at) for _, window in lab.summaries]
    assert not any(start <= at <= end for at, _ in lab.singles for start, end in spans)


def test_after_an_hour_of_quiet_a_user_is_like_a_new_one_and_not_before() -> None:
    for quiet, singles in [(LONGEST_WINDOW_S - 400, False), (LONGEST_WINDOW_S + 10, True)]:
        lab = Lab()
        for _ in range(10):
            lab.refuse()
        lab.until(1000.0 + quiet)
        assert (len(lab.windows) == 0) is singles
        assert all(lab.refuse() for _ in range(SINGLES))
        lab.refuse()
        lab.until(lab.now + FIRST_WINDOW_S + 5)
        assert (len(lab.summaries) == 2) is singles


def one_call() -> Iterator[dict[str, str]]:
    return cycle([{}])


def many_calls() -> Iterator[dict[str, str]]:
    return ({"call": digest(i)} for i in range(10**9))


def many_keys() -> Iterator[dict[str, str]]:
    return ({"key": f"key-{i:012d}", "call": digest(i)} for i in range(10**9))


def models_and_endpoints() -> Iterator[dict[str, str]]:
    models = [f"esm3-another-long-name-of-a-model-{i}" for i in range(7)]
    return ({"model": models[i % 7], "endpoint": f"endpoint_number_{i % 9}"} for i in range(10**9))


def steady(seconds: float) -> Callable[[random.Random, int], float]:
    return lambda _, __: seconds


PACES: dict[str, Callable[[random.Random, int], float]] = {
    "twice a second": steady(0.5),
    "every minute": steady(61.0),
    "every four minutes": steady(241.0),
    "every ten minutes": steady(SINGLE_EVERY_S),
    "four, then a pause of a minute": lambda _, i: 66.0 if i % 4 == 0 else 0.0,
    "seven, then ten minutes": lambda _, i: SINGLE_EVERY_S + 5 if i % 7 == 0 else 0.0,
    "eight, then half an hour": lambda _, i: 1801.0 if i % 8 == 0 else 0.0,
    "forty, then an hour": lambda _, i: HOUR + 5 if i % 40 == 0 else 0.0,
    "at random": lambda chance, _: chance.choice([0.0, 0.0, 1.0, 59.0, 121.0, 601.0]),
    "at random, slow": lambda chance, _: chance.expovariate(1 / 300.0),
}


@pytest.mark.parametrize("calls", [one_call, many_calls, many_keys, models_and_endpoints])
@pytest.mark.parametrize("pace", PACES.values(), ids=PACES)
def test_four_workers_write_less_than_100_kb_an_hour_about_a_user_and_nothing_is_missing(
    calls: Callable[[], Iterator[dict[str, str]]], pace: Callable[[random.Random, int], float]
) -> None:
    lab, chance = Lab(), random.Random(7)
    for i, changes in enumerate(islice(calls(), 20_000)):
        lab.refuse(**changes)
        lab.until(lab.now + pace(chance, i + 1))
        if lab.now > 1000.0 + 5 * HOUR:
            break
    lab.stop()
    assert lab.on_record() == lab.refused
    starts = [at for at, _ in (*lab.singles, *lab.summaries)]
    assert max(4 * lab.bytes_between(start, start + HOUR) for start in starts) < 100_000
    assert max(sum(at <= other < at + HOUR for other in starts) for at in starts) <= SINGLES + 12


def test_keys_of_one_user_are_counted_together_and_users_apart() -> None:
    lab = Lab()
    for i in range(40):
        lab.refuse(key=f"k{i % 2}", user=f"u{i % 2}")
        lab.refuse(key=f"k{i}", user="carl")
    lab.stop()
    told = {window.facts()["user"]: window.facts() for _, window in lab.summaries}
    assert {user: facts["refused"] for user, facts in told.items()} == {"u0": 17, "u1": 17, "carl": 37}
    assert told["carl"]["keys"] == ["k3", "k4", "k5", "k6"]
    assert told["carl"]["different_keys"] == MOST_TOLD_APART


def test_more_users_than_are_counted_apart_are_one_record_and_none_is_missing() -> None:
    lab = Lab()
    for _ in range(5):
        for i in range(MOST_USERS + 100):
            lab.refuse(user=f"u{i}")
    assert len(lab.windows) == MOST_USERS + 1
    assert len(lab.singles) == SINGLES * MOST_USERS
    lab.until(1000.0 + FIRST_WINDOW_S + 5)
    [others] = [window.facts() for _, window in lab.summaries if window.facts()["user"] is None]
    assert (others["refused"], others["team"]) == (500, None)
    assert others["users"] == [f"u{MOST_USERS + i}" for i in range(MOST_NAMED)]
    assert others["different_users"] == MOST_TOLD_APART
    assert lab.on_record() == lab.refused
    lab.until(lab.now + LONGEST_WINDOW_S)
    assert len(lab.windows) == 0


def test_the_others_never_have_single_records_however_long_they_wait() -> None:
    lab = Lab()
    for i in range(MOST_USERS):
        lab.refuse(user=f"u{i}")
    for _ in range(20):
        lab.until(lab.now + 300)
        for i in range(MOST_USERS):
            lab.windows.add(replace(REFUSAL, user=f"u{i}"), lab.now)
        assert not lab.refuse(user="somebody else")


def test_what_could_not_be_recorded_is_due_again_with_all_that_came_since() -> None:
    lab = Lab()
    for i in range(10):
        lab.refuse(call=digest(i))
    [lost] = lab.windows.due(1000.0 + FIRST_WINDOW_S)
    lab.now += FIRST_WINDOW_S
    lab.refuse(call=digest(77), key="another")
    lab.windows.put_back(lost, lab.now)
    lab.until(lab.now + 5)
    [(_, window)] = lab.summaries
    facts = window.facts()
    assert (facts["refused"], facts["first_at"], facts["last_at"]) == (8, 1000.0, 1060.0)
    assert (facts["keys"], facts["different_calls"]) == ([REFUSAL.key, "another"], 8)


def test_what_could_not_be_recorded_is_kept_also_where_its_user_was_forgotten() -> None:
    lab = Lab()
    for _ in range(10):
        lab.refuse()
    lost = lab.windows.due(1000.0 + LONGEST_WINDOW_S)
    assert (len(lost), len(lab.windows)) == (1, 0)
    lab.windows.put_back(lost[0], 1000.0 + LONGEST_WINDOW_S)
    lab.now = 1000.0 + LONGEST_WINDOW_S
    assert not lab.refuse()
    lab.until(lab.now + 5)
    assert lab.on_record() == lab.refused


def test_a_window_that_is_put_back_again_and_again_takes_no_more_room() -> None:
    lab = Lab()
    for i in range(5000):
        lab.refuse(call=digest(i), key=f"k{i}")
        for window in lab.windows.due(lab.now + LONGEST_WINDOW_S - 1):
            lab.windows.put_back(window, lab.now)
    [window] = lab.windows.close()
    assert window.refused == 5000 - SINGLES
    assert len(window.calls.seen) == len(window.keys.seen) == MOST_TOLD_APART
    assert len(window.calls.first) == MOST_NAMED


def test_what_is_counted_takes_no_more_memory_than_the_page_for_operators_says() -> None:
    windows = RefusalWindows()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for user in range(MOST_USERS + 50):
        for i in range(50):
            of = f"{user} {i}"
            about = replace(REFUSAL, key=f"key {of}", endpoint=f"endpoint {of}", model=f"model {of}", call=f"call {of}")
            windows.add(replace(about, user=f"user {user}"), 1000.0)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(windows) == MOST_USERS + 1
    assert held < 9 * 2**20
