"""A dashboard from its rows: what all dashboards have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model
from panels import SOURCE, Panels

from gateway.core.metrics import BUILD_INFO

Rows = Sequence[tuple[str, Callable[[], Panels]]]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: its title, its permanent name in URLs, its description, and its rows in order."""

    title: str
    uid: str
    description: str
    rows: Rows


def made(board: Board) -> model.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["esm-gateway"])
        .timezone("browser")
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_instances())
    )
    for title, panels in board.rows:
        built = built.with_row(dashboard.Row(title))
        for panel in panels():
            built = built.with_panel(panel)
    return _numbered(built.build())


def _numbered(board: model.Dashboard) -> model.Dashboard:
    """Panels with fixed numbers, so that links to them remain valid."""
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number
    return board


def _instances() -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text="All", value="$__all")
    return (
        dashboard.QueryVariable("instance")
        .label("Instance")
        .description("Gateways to show.")
        .datasource(SOURCE)
        .query(f"label_values({BUILD_INFO.name}, instance)")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )
