"""The overview dashboard: what an operator asks, from "is it up" down to "what fills the memory", one row a question.

Rows and their order stand here; what is in a row stands in callers.py and world.py.
"""

import callers
import world
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model
from panels import SOURCE

from gateway.core.metrics import BUILD_INFO

ROWS = (
    ("Is it well?", callers.at_a_glance),
    ("Requests", callers.requests),
    ("Cache", callers.cache),
    ("Quotas and units", callers.quotas),
    ("Upstream", world.upstream),
    ("Policy, keys and audit", world.policy),
    ("Stores and memory", world.stores_and_memory),
)


def overview() -> model.Dashboard:
    board = (
        dashboard.Dashboard("ESM gateway")
        .uid("esm-gateway-overview")
        .description("Is it up, how well, for whom, and what does the upstream do. Alerts: docs/operating.md.")
        .tags(["esm-gateway"])
        .timezone("browser")
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_instances())
    )
    for title, panels in ROWS:
        board = board.with_row(dashboard.Row(title))
        for panel in panels():
            board = board.with_panel(panel)
    return _numbered(board.build())


def _numbered(board: model.Dashboard) -> model.Dashboard:
    """Panels with fixed numbers, so that a link to one goes on working."""
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number
    return board


def _instances() -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable("instance")
        .label("Instance")
        .description("Which gateways to look at.")
        .datasource(SOURCE)
        .query(f"label_values({BUILD_INFO.name}, instance)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )
