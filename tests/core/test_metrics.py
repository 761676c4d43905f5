"""A metric is its row and its call: a row that nothing counts, or a call that does not fit its row, is named here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core import metrics
from gateway.core.metrics import METRICS, Metric

GATEWAY = Path(__file__).resolve().parents[2] / "gateway"
VERBS = {"count": "counter", "observe": "histogram", "gauge": "gauge"}
CONSTANTS = {name: value for name, value in vars(metrics).items() if isinstance(value, Metric)}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Every call of a meter with a metric of the table: the constant's name, the call, and where it is."""
    for path in GATEWAY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Name) and first.id in CONSTANTS:
                    yield first.id, node, f"{path.relative_to(GATEWAY.parent)}:{node.lineno}"


CALLS = list(calls())


@pytest.mark.parametrize("name", CONSTANTS)
def test_every_metric_is_counted_somewhere(name: str) -> None:
    assert name in {called for called, _, _ in CALLS}, f"nothing in gateway/ counts, observes or sets {name}"


@pytest.mark.parametrize(("name", "call", "where"), CALLS, ids=[where for _, _, where in CALLS])
def test_every_call_fits_its_row(name: str, call: ast.Call, where: str) -> None:
    metric, verb = CONSTANTS[name], getattr(call.func, "attr", "")
    assert VERBS[verb] == metric.kind
    if not any(isinstance(argument, ast.Starred) for argument in call.args):
        assert len(call.args) - (1 if verb == "count" else 2) == len(metric.labels)


def test_names_are_unique_and_say_their_unit() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) == len(CONSTANTS)
    for metric in METRICS:
        assert metric.name.startswith("esmgw_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.help.endswith(".")
