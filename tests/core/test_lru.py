"""The memory of a worker: bounded, and the least recently used goes first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.lru import Lru

MOST = 16_384
OVERHEAD = 512
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "get", "drop"]), st.integers(0, 12), st.integers(0, 2200)),
    max_size=80,
)


def filled(*sizes: int) -> Lru[int]:
    held: Lru[int] = Lru(MOST)
    for number, size in enumerate(sizes):
        held.put(number, number, size)
    return held


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_it_holds_what_a_list_in_order_of_use_would_and_never_more_bytes(steps: list[tuple[str, int, int]]) -> None:
    held: Lru[int] = Lru(MOST)
    order: list[tuple[int, int]] = []  # (key, cost), the least recently used first
    for number, (what, key, size) in enumerate(steps):
        before = next((entry for entry in order if entry[0] == key), None)
        if what == "get":
            assert (held.get(key) is not None) == (before is not None)
        else:
            held.put(key, number, size) if what == "put" else held.drop(key)
        order = [entry for entry in order if entry[0] != key]
        if what == "get" and before is not None:
            order.append(before)
        elif what == "put" and size + OVERHEAD <= MOST // 8:
            order.append((key, size + OVERHEAD))
        while sum(cost for _, cost in order) > MOST:
            order.pop(0)
        assert held.bytes == sum(cost for _, cost in order) <= MOST
        assert len(held) == len(order)
    assert {key for key in range(13) if held.get(key) is not None} == {key for key, _ in order}


def test_the_least_recently_used_goes_first() -> None:
    held = filled(*[1536] * 8)
    assert held.get(0) == 0
    held.put(8, 8, 1536)
    assert held.get(1) is None
    assert [held.get(number) for number in (0, 2, 8)] == [0, 2, 8]


def test_putting_again_counts_as_use_and_replaces_the_value() -> None:
    held = filled(*[1536] * 8)
    held.put(0, 100, 1536)
    held.put(8, 8, 1536)
    assert (held.get(0), held.get(1)) == (100, None)


def test_a_value_larger_than_an_eighth_is_not_kept_and_drives_nothing_out() -> None:
    held = filled(100, 100)
    held.put("large", 1, MOST // 8 - OVERHEAD + 1)
    assert held.get("large") is None
    assert len(held) == 2
    held.put("just", 1, MOST // 8 - OVERHEAD)
    assert held.get("just") == 1


def test_a_value_that_grew_too_large_does_not_leave_its_old_self_behind() -> None:
    held = filled(100)
    held.put(0, 1, MOST)
    assert held.get(0) is None
    assert held.bytes == 0


def test_empty_values_cannot_pile_up_without_end() -> None:
    held = filled(*[0] * 1000)
    assert len(held) == MOST // OVERHEAD
    assert held.get(999) == 999


def test_a_memory_of_nothing_keeps_nothing() -> None:
    held: Lru[int] = Lru(0)
    held.put("a", 1, 0)
    assert held.get("a") is None
    assert len(held) == held.bytes == 0


def test_what_was_dropped_or_cleared_is_gone_and_its_bytes_are_free() -> None:
    held = filled(100, 200)
    held.drop(0)
    held.drop("never there")
    assert (held.get(0), held.get(1), held.bytes) == (None, 1, 200 + OVERHEAD)
    held.clear()
    assert (held.get(1), len(held), held.bytes) == (None, 0, 0)
