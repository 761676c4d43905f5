"""The table of what each failure of the upstream means: for the call, its charge, the key and the breaker."""

import pytest

from gateway.core.problems import UPSTREAM_BUSY, UPSTREAM_FAILED, UPSTREAM_REFUSED, UPSTREAM_TIMEOUT, ProblemType
from gateway.core.retry import BAD_ANSWER, UpstreamOutcome, of_answer, of_loss, of_status

# status: outcome, again, worked, harms the breaker, what the caller is told
TABLE: dict[int, tuple[str, bool, bool, bool, ProblemType]] = {
    200: ("ok", False, True, False, UPSTREAM_FAILED),
    204: ("ok", False, True, False, UPSTREAM_FAILED),
    302: ("failed", False, False, True, UPSTREAM_FAILED),
    400: ("refused", False, False, False, UPSTREAM_REFUSED),
    401: ("disabled", True, False, False, UPSTREAM_BUSY),
    402: ("cooling_down", True, False, False, UPSTREAM_BUSY),
    403: ("refused", False, False, False, UPSTREAM_REFUSED),
    404: ("refused", False, False, False, UPSTREAM_REFUSED),
    408: ("refused", False, False, False, UPSTREAM_REFUSED),
    413: ("refused", False, False, False, UPSTREAM_REFUSED),
    422: ("refused", False, False, False, UPSTREAM_REFUSED),
    429: ("cooling_down", True, False, False, UPSTREAM_BUSY),
    500: ("failed", True, False, True, UPSTREAM_FAILED),
    501: ("failed", False, False, True, UPSTREAM_FAILED),
    502: ("failed", False, False, True, UPSTREAM_FAILED),
    503: ("failed", True, False, True, UPSTREAM_FAILED),
    504: ("timeout", False, True, True, UPSTREAM_TIMEOUT),
    599: ("failed", False, False, True, UPSTREAM_FAILED),
}
# (sent, timed out): the same
LOSSES: dict[tuple[bool, bool], tuple[str, bool, bool, bool, ProblemType]] = {
    (False, False): ("lost", True, False, True, UPSTREAM_FAILED),
    (False, True): ("lost", True, False, True, UPSTREAM_FAILED),
    (True, False): ("lost", False, True, True, UPSTREAM_FAILED),
    (True, True): ("timeout", False, True, True, UPSTREAM_TIMEOUT),
}
EVERY = [*map(of_status, range(100, 600)), *(of_loss(*loss) for loss in LOSSES), BAD_ANSWER]


def row(outcome: UpstreamOutcome) -> tuple[str, bool, bool, bool, ProblemType]:
    return outcome.name, outcome.retry, outcome.may_have_worked, outcome.counts_as_failure, outcome.problem_type


@pytest.mark.parametrize("status", TABLE)
def test_a_status_means_what_the_table_says(status: int) -> None:
    assert row(of_status(status)) == TABLE[status]


@pytest.mark.parametrize(("sent", "timed_out"), LOSSES)
def test_a_loss_means_what_the_table_says(sent: bool, timed_out: bool) -> None:
    assert row(of_loss(sent, timed_out)) == LOSSES[sent, timed_out]


def test_nothing_is_tried_again_for_which_work_may_have_been_done() -> None:
    assert not any(outcome.retry and outcome.may_have_worked for outcome in EVERY)


def test_a_call_that_was_refused_says_nothing_about_the_upstream_as_a_whole() -> None:
    assert not any(of_status(status).counts_as_failure for status in range(400, 500))
    assert all(of_status(status).counts_as_failure for status in range(500, 600))
    assert all(of_loss(*loss).counts_as_failure for loss in LOSSES)


def test_only_401_kills_a_key() -> None:
    assert [status for status in range(100, 600) if of_status(status).name == "disabled"] == [401]


def test_only_success_is_success() -> None:
    assert [status for status in range(100, 600) if of_status(status).name == "ok"] == list(range(200, 300))


def test_an_answer_that_cannot_be_used_is_paid_and_not_asked_for_again() -> None:
    assert row(BAD_ANSWER) == ("bad_answer", False, True, False, UPSTREAM_FAILED)
    assert of_answer("broken", hollow=False, several=True).counts_as_failure
