"""Cache-Status (RFC 9211): how a caller is told where the answer came from, and why."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from gateway.core.cache_directives import NO_DIRECTIVES, CacheDirectives
from gateway.core.cache_plan import (
    BYPASS_REASONS,
    CachePlan,
    shared_plan,
)
from gateway.core.cache_status import UPSTREAM_NO_STORE, cache_status_forwarded, cache_status_hit
from gateway.core.determinism import classify
from gateway.core.endpoint import NOT_MODELLED
from gateway.core.types import DeterminismClass, Imported
from tests.core.plans import (
    ADA,
    CACHE_STATUS,
    CALL,
    MARKS,
    SCHEME,
    in_namespace,
    of_class,
    planned,
)


def members(status: str) -> dict[str, str]:
    """Cache-Status as a mapping, once it is known to be well formed; the cache's own name under ""."""
    assert CACHE_STATUS.fullmatch(status), status
    name, *parameters = re.split(r'; (?=(?:[^"]*"[^"]*")*[^"]*$)', status)
    said = dict([name.partition("=")[::2] for name in parameters])
    assert len(said) == len(parameters), "a parameter stands there twice"
    assert set(said) <= {"hit", "fwd", "fwd-status", "ttl", "stored", "collapsed", "detail"}  # Never "key".
    return {"": name, **said}


@pytest.mark.parametrize(
    ("ttl", "shown"),
    [(60.9, "60"), (0.4, "0"), (0.0, "-1"), (-0.3, "-1"), (-1.2, "-2"), (-5.0, "-5"), (2_592_000.0, "2592000")],
)
@pytest.mark.parametrize("cls", [DeterminismClass.EXACT, DeterminismClass.PINNED])
def test_a_hit_is_told_with_what_is_left_of_it_its_class_and_the_rule(
    cls: DeterminismClass, ttl: float, shown: str
) -> None:
    said = members(cache_status_hit(planned(of_class(cls)), ttl))
    assert said == {"": "esm-gateway", "hit": "", "ttl": shown, "detail": f'"{cls.value}: a rule"'}


@pytest.mark.parametrize(
    ("made", "why", "detail"),
    [
        (planned(), "miss", '"exact: one step"'),
        (planned(of_class(DeterminismClass.PINNED)), "miss", '"pinned: a rule"'),
        (planned(asked=CacheDirectives(no_cache=True)), "request", '"exact: one step"'),
        (planned(asked=CacheDirectives(no_store=True)), "bypass", "no-store"),
        (
            planned(of_class(DeterminismClass.SAMPLED), asked=CacheDirectives(no_cache=True)),
            "bypass",
            '"sampled: a rule"',
        ),
        (
            planned(of_class(DeterminismClass.SAMPLED), asked=CacheDirectives(pool="lab", sample=1)),
            "miss",
            '"sampled: a rule"',
        ),
        (planned(purge_state=None, asked=CacheDirectives(no_cache=True)), "bypass", "store"),
        (shared_plan(CALL, ADA, SCHEME, MARKS, False, NO_DIRECTIVES), "bypass", "endpoint"),
        (planned(cache_config=replace(SCHEME, enabled=False)), "bypass", "disabled"),
        (in_namespace(of_class(DeterminismClass.UNKNOWN)), "miss", '"unknown: a rule"'),
        (in_namespace(asked=CacheDirectives(no_store=True)), "bypass", "no-store"),
    ],
)
def test_a_computed_answer_is_told_with_why_it_was_computed(made: CachePlan, why: str, detail: str) -> None:
    for stored, collapsed in product((True, False), repeat=2):
        status = cache_status_forwarded(made, made.why_forwarded(None, 0.0), stored=stored, collapsed=collapsed)
        said = members(status)
        assert (said["fwd"], said["detail"]) == (why, detail)
        assert ("stored" in said, "collapsed" in said, "hit" in said) == (stored, collapsed, False)
        assert made.cache_key is None or made.cache_key not in status


IDLE = "max-stale: nothing stale is kept here (cache.stale_if_error_s is 0)"


@pytest.mark.parametrize(
    ("made", "detail"),
    [
        (planned(asked=CacheDirectives(max_stale=60)), f'"exact: one step; {IDLE}"'),
        (planned(of_class(DeterminismClass.PINNED), asked=CacheDirectives(max_stale=0)), f'"pinned: a rule; {IDLE}"'),
        (
            planned(cache_config=replace(SCHEME, stale_if_error_s=1.0), asked=CacheDirectives(max_stale=60)),
            '"exact: one step"',
        ),
        (in_namespace(asked=CacheDirectives(max_stale=60)), '"exact: one step"'),
        (planned(asked=CacheDirectives(max_stale=60, no_store=True)), "no-store"),
        (planned(purge_state=None, asked=CacheDirectives(max_stale=60)), "store"),
        (planned(), '"exact: one step"'),
    ],
)
def test_max_stale_says_so_where_it_can_do_nothing(made: CachePlan, detail: str) -> None:
    assert members(cache_status_forwarded(made, "miss", stored=True, collapsed=False))["detail"] == detail


def test_an_answer_that_the_upstream_forbids_to_keep_is_told_with_that_reason() -> None:
    told = [
        members(cache_status_forwarded(plan, "miss", stored=stored, collapsed=False, forbidden=True))["detail"]
        for plan, stored in ((planned(), False), (in_namespace(), True), (planned(purge_state=None), False))
    ]
    assert told == [UPSTREAM_NO_STORE, '"exact: one step"', "store"]


def test_every_rule_that_may_decide_a_class_can_be_told_in_a_header() -> None:
    tracks = ("sequence", "structure", "function")
    for track, temperature, annealing, strategy, steps in product(
        tracks, (0.0, 0.5), (True, False), ("random", "entropy"), (1, 4)
    ):
        told = classify(track, temperature, annealing, strategy, steps)
        members(cache_status_hit(planned(replace(CALL, determinism=told)), 5.0))
    members(cache_status_hit(in_namespace(replace(CALL, determinism=NOT_MODELLED)), 5.0))


def test_every_reason_for_a_bypass_is_explained_to_scientists() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "caching.md").read_text("utf-8")
    explained = page.split("`detail` in quotes is")[1].split("##")[0]
    assert [reason for reason in (*BYPASS_REASONS, UPSTREAM_NO_STORE) if f"`{reason}`" not in explained] == []


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (Imported(b"f" * 32, 1.0, "ada", b"k" * 32, trusted=True), "imported, signature trusted"),
        (Imported(b"f" * 32, 1.0, "ada", b"k" * 32, trusted=False), "imported, not verified"),
        (Imported(b"f" * 32, 1.0, "ada"), "imported, not verified"),
    ],
)
def test_an_answer_that_was_read_from_a_file_is_told_from_one_that_was_computed(origin: Imported, told: str) -> None:
    plan = in_namespace()
    said = members(cache_status_hit(plan, 5.0, origin))
    assert said["detail"] == f'{plan.detail[:-1]}; {told}"'
    assert members(cache_status_hit(plan, 5.0))["detail"] == plan.detail
