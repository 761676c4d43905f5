"""Every counter's series are written down, so that each exists before its first event.

The fake meter refuses labels that are not: every test of the flow checks this table, too.
"""

import ast
from pathlib import Path
from typing import get_args

import pytest

from gateway.core.metric_series import SERIES, all_series, fits
from gateway.core.metrics import AUTH_FAILURES, METRICS, POLICY, REQUESTS, Metric
from gateway.core.policy import Mode
from gateway.core.problems import PROBLEM_TYPES
from gateway.flow import spot_check
from tests.core.test_metrics import CALLS, CONSTANTS
from tests.fakes.world import FakeMeter

COUNTERS = [metric for metric in METRICS if metric.kind == "counter" and metric.labels]


@pytest.mark.parametrize("metric", COUNTERS, ids=lambda metric: metric.name)
def test_a_counter_with_labels_has_its_series_in_the_table(metric: Metric) -> None:
    rows = SERIES.get(metric.name)
    assert rows, f"write the labels that {metric.name} can have into gateway/core/metric_series.py"
    assert all(len(row) == len(metric.labels) for row in rows)
    assert len(set(rows)) == len(rows)


def test_the_table_is_about_counters_alone() -> None:
    assert SERIES.keys() == {metric.name for metric in COUNTERS}


@pytest.mark.parametrize(("name", "call", "where"), CALLS, ids=[where for _, _, where in CALLS])
def test_a_label_that_is_written_down_where_it_is_counted_is_in_the_table(
    name: str, call: ast.Call, where: str
) -> None:
    metric = CONSTANTS[name]
    if metric.kind != "counter" or any(isinstance(argument, ast.Starred) for argument in call.args):
        return
    for at, argument in enumerate(call.args[1:]):
        parts = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
        for part in parts:
            if isinstance(part, ast.Constant):
                assert part.value in {row[at] for row in SERIES[metric.name]}, where


def test_names_that_others_decide_are_those_of_their_tables() -> None:
    assert {row[0] for row in SERIES["esmgw_cache_spot_checks_total"]} == set(spot_check.RESULTS)
    assert {row[1] for row in SERIES[POLICY.name]} == set(get_args(Mode))
    assert {kind.slug for kind in PROBLEM_TYPES} < {row[1] for row in SERIES[REQUESTS.name]}
    worker = (Path(__file__).resolve().parents[2] / "gateway/wiring/worker.py").read_text()
    assert all(f'("{row[0]}", ' in worker for row in SERIES["esmgw_loop_failures_total"])


def test_what_is_known_elsewhere_is_filled_in() -> None:
    found = set(all_series(POLICY, {"policy": ["concern", "models"]}))
    assert len(found) == 8
    assert ("concern", "observe", "refused") in found
    assert set(all_series(POLICY, {})) == set()
    assert ("none", "unknown-path") in set(all_series(REQUESTS, {"endpoint": []}))
    assert set(all_series(REQUESTS, {})) == set()


def test_the_fake_meter_refuses_a_label_that_nobody_has_written_down() -> None:
    assert fits(POLICY, ("anything", "observe", "refused"))
    assert not fits(POLICY, ("concern", "enforced", "refused"))
    with pytest.raises(AssertionError, match="no row"):
        FakeMeter().count(AUTH_FAILURES, "mistyped")
