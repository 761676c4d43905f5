"""Turns are shared by cost and weight; a newcomer is next; nobody saves turns up; nothing is left behind."""

from collections import Counter
from collections.abc import Mapping

import pytest

from gateway.core.fair_queue import FairQueue

Item = tuple[str, int]


def queue(weights: Mapping[str, float] | None = None) -> FairQueue[Item]:
    return FairQueue(lambda user: (weights or {}).get(user, 1.0))


def fill(waiting: FairQueue[Item], user: str, count: int, cost: float = 10.0) -> None:
    for n in range(count):
        waiting.add(user, (user, n), cost)


def first_of(waiting: FairQueue[Item], user: str) -> Item:
    return waiting.first(user, 1)[0]


def turns(waiting: FairQueue[Item], count: int) -> list[Item]:
    taken = [waiting.take(lambda user: first_of(waiting, user)) for _ in range(count)]
    return [item for item in taken if item is not None]


def test_one_users_items_come_in_order() -> None:
    waiting = queue()
    fill(waiting, "ada", 5)
    assert turns(waiting, 9) == [("ada", n) for n in range(5)]
    assert len(waiting) == 0


@pytest.mark.parametrize("before", [1, 100, 5000])
def test_a_newcomer_is_next_however_many_of_another_wait(before: int) -> None:
    waiting = queue()
    fill(waiting, "ada", before + 10)
    turns(waiting, before)
    waiting.add("bob", ("bob", 0), 10.0)
    assert ("bob", 0) in turns(waiting, 2)


@pytest.mark.parametrize(
    "weights, costs, expected",
    [
        ({}, {"a": 10, "b": 10}, {"a": 0.5, "b": 0.5}),
        ({"b": 2.0}, {"a": 10, "b": 10}, {"a": 1 / 3, "b": 2 / 3}),
        ({"b": 0.5}, {"a": 10, "b": 200}, {"a": 2 / 3, "b": 1 / 3}),
        ({"c": 3.0}, {"a": 7, "b": 140, "c": 31}, {"a": 0.2, "b": 0.2, "c": 0.6}),
    ],
)
def test_shares_are_by_units_and_weights(
    weights: dict[str, float], costs: dict[str, float], expected: dict[str, float]
) -> None:
    waiting = queue(weights)
    for user, cost in costs.items():
        fill(waiting, user, 20_000, cost)
    units: Counter[str] = Counter()
    while sum(units.values()) < 100_000:
        for user, _ in turns(waiting, 1):
            units[user] += int(costs[user])
    total = sum(units.values())
    assert {user: pytest.approx(units[user] / total, abs=0.01) for user in costs} == expected


def test_who_must_wait_for_something_else_is_passed_over_and_saves_nothing_up() -> None:
    waiting = queue()
    fill(waiting, "ada", 100)
    fill(waiting, "bob", 100)
    for _ in range(50):
        assert waiting.take(lambda user: None if user == "ada" else first_of(waiting, user)) is not None
    assert Counter(user for user, _ in turns(waiting, 20)) == {"ada": 10, "bob": 10}


def test_who_was_idle_saves_nothing_up() -> None:
    waiting = queue()
    fill(waiting, "bob", 1)
    fill(waiting, "ada", 1000)
    turns(waiting, 501)
    fill(waiting, "bob", 100)
    assert Counter(user for user, _ in turns(waiting, 20)) == {"ada": 10, "bob": 10}


def test_what_comes_back_is_the_users_next_and_not_paid_twice() -> None:
    waiting = queue()
    fill(waiting, "ada", 3)
    (item,) = turns(waiting, 1)
    waiting.add("ada", item, 0.0, at_front=True)
    assert turns(waiting, 3) == [("ada", 0), ("ada", 1), ("ada", 2)]


def test_where_nobody_can_be_taken_nothing_is_lost() -> None:
    waiting = queue()
    fill(waiting, "ada", 2)
    fill(waiting, "bob", 2)
    assert waiting.take(lambda user: None) is None
    assert len(waiting) == 4
    assert len(turns(waiting, 9)) == 4


def test_what_is_removed_has_no_turn_and_leaves_its_user_a_place() -> None:
    waiting = queue()
    fill(waiting, "ada", 3)
    waiting.remove("ada", ("ada", 0))
    waiting.remove("ada", ("ada", 0))
    waiting.remove("zoe", ("zoe", 0))
    assert len(waiting) == 2
    for item in (("ada", 1), ("ada", 2)):
        waiting.remove("ada", item)
    assert not waiting.waits("ada")
    fill(waiting, "ada", 1)
    assert turns(waiting, 5) == [("ada", 0)]


def test_users_who_have_gone_are_forgotten() -> None:
    waiting = queue()
    fill(waiting, "ada", 5000)
    for n in range(4_000):
        user = f"u{n}"
        waiting.add(user, (user, 0), 10.0)
        if n % 2:
            waiting.remove(user, (user, 0))
        else:
            turns(waiting, 2)
    assert len(waiting._users) < 1000
    assert len(waiting._order) < 1000
