"""Losing a store and having it back: one line each, with the reason and the time, and a number by reason."""

import pytest

from gateway.core.metrics import STORE_LOST, STORE_UNUSABLE
from gateway.core.store_faults import FAULT_WORDS, REFUSES_CHANGES, STORE_FAULTS, STORE_NAMES, StoreFault
from gateway.flow.store_status import CHANGED_REASON_S, StoreStatus
from tests.flow.harness import Parts


class Watch:
    def __init__(self) -> None:
        self.parts = Parts()
        self.said: list[str] = []
        self.status = StoreStatus(self.parts.runtime(), self.said.append)

    def counted(self, store: str, fault: str) -> float:
        return self.parts.meter.counts[(STORE_LOST.name, store, fault)]

    def unusable(self, store: str) -> float:
        return self.parts.meter.gauges[(STORE_UNUSABLE.name, store)]


def test_every_reason_of_every_store_is_counted_from_the_start() -> None:
    watch = Watch()
    assert set(watch.parts.meter.counts) == {
        (STORE_LOST.name, store, fault) for store in STORE_NAMES for fault in STORE_FAULTS
    }
    assert set(FAULT_WORDS) == set(STORE_FAULTS)
    assert (watch.unusable("state"), watch.unusable("cache"), watch.said) == (0.0, 0.0, [])


@pytest.mark.parametrize("fault", ["refused", "timeout", "authentication", "tls_name", "loading"])
def test_each_edge_is_one_line_with_the_reason_and_the_duration(fault: StoreFault) -> None:
    watch = Watch()
    for _ in range(5):
        watch.status.failed("state", fault)
        watch.parts.clock.advance(1.0)
    assert watch.said == [f"the state store is lost ({fault}): {FAULT_WORDS[fault]}"]
    assert (watch.status.lost(), watch.unusable("state"), watch.counted("state", fault)) == (("state",), 1.0, 1.0)
    for _ in range(3):
        watch.status.answered("state")
    assert watch.said[1:] == [f"the state store is back after 5.0 s (it was lost: {fault})"]
    assert (watch.status.lost(), watch.unusable("state")) == ((), 0.0)


def test_the_two_stores_are_lost_and_found_apart() -> None:
    watch = Watch()
    watch.status.failed("state", "refused")
    watch.status.failed("cache", "timeout")
    watch.status.answered("cache")
    assert (watch.status.is_lost("state"), watch.status.is_lost("cache")) == (True, False)
    assert [line.split("(")[0] for line in watch.said] == [
        "the state store is lost ",
        "the cache store is lost ",
        "the cache store is back after 0.0 s ",
    ]


def test_what_is_known_of_the_server_is_said_in_place_of_general_words_and_warnings_follow() -> None:
    watch = Watch()
    watch.status.failed("state", "unsuitable", "the state store evicts")
    assert watch.said == ["the state store is lost (unsuitable): the state store evicts"]
    watch.status.proven("state", ("the state store has no append-only file",))
    assert watch.said[2:] == ["the state store has no append-only file"]


def test_a_restart_that_passes_through_several_reasons_is_still_two_lines() -> None:
    watch = Watch()
    for fault in ("disconnected", "refused", "refused", "loading"):
        watch.status.failed("state", fault)
        watch.parts.clock.advance(0.5)
    watch.status.answered("state")
    assert len(watch.said) == 2
    assert watch.said[1].endswith("back after 2.0 s (it was lost: loading)")
    assert [watch.counted("state", fault) for fault in ("disconnected", "refused", "loading")] == [1.0, 1.0, 1.0]


def test_another_reason_that_lasts_is_said_once() -> None:
    watch = Watch()
    watch.status.failed("state", "refused")
    for _ in range(30):
        watch.status.failed("state", "authentication")
        watch.parts.clock.advance(1.0)
    assert watch.said[1:] == [f"the state store is still lost, now (authentication): {FAULT_WORDS['authentication']}"]
    assert CHANGED_REASON_S == 10.0


@pytest.mark.parametrize("fault", sorted(REFUSES_CHANGES))
def test_a_store_that_refuses_changes_is_lost_until_a_change_goes_through(fault: StoreFault) -> None:
    watch = Watch()
    watch.status.refused("state", fault)
    watch.status.answered("state")
    assert watch.status.is_lost("state")
    assert watch.status.fault("state") == fault
    watch.status.proven("state")
    assert not watch.status.is_lost("state")


@pytest.mark.parametrize("fault", sorted(set(STORE_FAULTS) - REFUSES_CHANGES))
def test_one_operation_that_fails_in_another_way_says_nothing_about_the_store(fault: StoreFault) -> None:
    watch = Watch()
    watch.status.refused("state", fault)
    assert not watch.status.is_lost("state")


def test_that_it_answers_a_question_again_does_not_show_that_it_takes_changes_again() -> None:
    watch = Watch()
    watch.status.failed("state", "timeout")
    watch.status.refused("state", "full")
    watch.status.answered("state")
    assert watch.status.needs_proof("state")
