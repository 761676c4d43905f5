"""Dashboards, alerts and the prose of docs/metrics.md against core.metrics: nothing missing, nothing made up."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from gateway.core.metrics import METRICS, Metric
from gateway.core.problems import PROBLEM_TYPES

ROOT = Path(__file__).parents[2]
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PANELS: list[dict[str, Any]] = [
    panel for board in BOARDS.values() for panel in board["panels"] if panel["type"] != "row"
]
each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
RULES: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"][0]["rules"]
PAGE = (ROOT / "docs/metrics.md").read_text()
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
BY_NAME = {metric.name: metric for metric in METRICS}


def shown(metric: Metric) -> tuple[str, ...]:
    """The names under which Prometheus knows a metric."""
    parts = ("_bucket", "_sum", "_count")
    return tuple(metric.name + part for part in parts) if metric.kind == "histogram" else (metric.name,)


KNOWN = {name: metric for metric in METRICS for name in shown(metric)}


def named(text: str) -> set[str]:
    return set(re.findall(r"esmgw_\w+", text))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_watched_and_described(metric: Metric) -> None:
    watched = named(" ".join([*QUERIES, *(rule["expr"] for rule in RULES)]))
    assert watched & set(shown(metric)), f"no panel or alert shows {metric.name}: run make docs"
    assert metric.name in named(PAGE)


def test_nothing_is_watched_that_does_not_exist() -> None:
    assert named(" ".join([*QUERIES, *(rule["expr"] for rule in RULES)])) <= KNOWN.keys()
    assert named(PAGE) <= BY_NAME.keys()


@pytest.mark.parametrize("expr", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_series_are_narrowed_only_by_labels_that_they_have(expr: str) -> None:
    for name, conditions in re.findall(r"(esmgw_\w+)\{([^}]*)\}", expr):
        labels = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", conditions))
        assert labels <= {*KNOWN[name].labels, "instance", "le"}


def test_series_are_added_up_only_by_labels_that_one_of_them_has() -> None:
    for expr in [*QUERIES, *(rule["expr"] for rule in RULES)]:
        known = {label for name in named(expr) for label in KNOWN[name].labels} | {"instance", "le"}
        for labels in re.findall(r"\bby \(([^)]*)\)", expr):
            assert {label.strip() for label in labels.split(",")} <= known


def test_errors_mean_the_same_in_the_dashboard_and_in_the_alert() -> None:
    faults = {kind.slug for kind in PROBLEM_TYPES if kind.status >= 500 and kind.status not in (501, 505)}
    alert = next(rule["expr"] for rule in RULES if rule["alert"] == "EsmGatewayErrorRatioHigh")
    panels = [target["expr"] for panel in PANELS if panel["title"] == "Error ratio" for target in panel["targets"]]
    assert len(panels) == 2
    for expr in [alert, *panels]:
        assert {frozenset(each.split("|")) for each in re.findall(r'outcome=~"([^"]+)"', expr)} == {frozenset(faults)}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in {"short", "percentunit", "reqps", "ops", "s", "bytes", "Bps"}
    assert panel["targets"]
    assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    assert all("$instance" in target["expr"] for target in panel["targets"])


@each_board
def test_panels_lie_side_by_side_and_have_numbers_of_their_own(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in board["panels"]):
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    numbers = [panel["id"] for panel in board["panels"]]
    assert sorted(numbers) == sorted(set(numbers))
    assert 0 not in numbers


def test_the_committed_dashboards_are_what_their_sources_say() -> None:
    """Written by `make docs`."""
    done = subprocess.run(
        [sys.executable, "grafana/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@each_board
def test_a_dashboard_is_one_that_grafanas_own_model_can_read(board: dict[str, Any]) -> None:
    plugins.register_default_plugins()
    again = JSONEncoder(sort_keys=True, indent=2).encode(Dashboard.from_json(board))
    assert json.loads(again) == board


def test_each_dashboard_has_an_address_of_its_own() -> None:
    assert {board["uid"] for board in BOARDS.values()} == {"esm-gateway-overview", "esm-gateway-cache"}
    assert len({board["title"] for board in BOARDS.values()}) == len(BOARDS)


def asked_of(board: str) -> set[str]:
    """What the panels of one dashboard ask for."""
    panels = [panel for panel in BOARDS[board]["panels"] if panel["type"] != "row"]
    return named(" ".join(target["expr"] for panel in panels for target in panel["targets"]))


def test_whoever_looks_after_the_cache_finds_all_of_it_in_one_place() -> None:
    """Hits, bytes, ages, evictions, savings, reasons, divergence, followers: every metric about the cache."""
    about = {name for name, metric in KNOWN.items() if re.search("cache|collapsed|saved|lease", name)}
    folded = {KNOWN[name].name for name in about}
    assert folded == {KNOWN[name].name for name in asked_of("cache") & about}
    assert len(folded) >= 11


def test_grafana_is_told_where_dashboards_and_numbers_are() -> None:
    provisioning = ROOT / "grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((provisioning / "dashboards/esm-gateway.yaml").read_text())["providers"][0]
    grafana = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["grafana"]
    variables = {variable["name"]: variable for variable in BOARDS["overview"]["templating"]["list"]}
    assert source["type"] == variables["datasource"]["query"] == "prometheus"
    assert source["url"] == "${PROMETHEUS_URL}"
    assert "PROMETHEUS_URL" in grafana["environment"]
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
