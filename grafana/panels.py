"""The two kinds of panels: one number, and lines over time.

Every panel needs a description and a unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
Panels = Sequence[stat.Panel | timeseries.Panel]
GREEN, YELLOW, RED = "green", "yellow", "red"


@dataclass(frozen=True, slots=True)
class Line:
    """One query and its legend; Grafana fills in `{{label}}`."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Words:
    """Title, description and unit (a Grafana unit id) of a panel."""

    title: str
    description: str
    unit: str


def number(words: Words, line: Line, steps: Sequence[tuple[float | None, str]], text: str = "value") -> stat.Panel:
    """One big number, coloured by `steps` (from, colour); `text` is value or name."""
    return (
        stat.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .datasource(SOURCE)
        .height(4)
        .span(4)
        .no_value("none")
        .with_target(_query(line, "A").instant())
        .thresholds(_steps(steps))
        .graph_mode(common_model.BigValueGraphMode.NONE)
        .color_mode(common_model.BigValueColorMode.VALUE)
        .text_mode(common_model.BigValueTextMode(text))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )


def lines(words: Words, *drawn: Line, width: int = 8, stacked: bool = False) -> timeseries.Panel:
    """Lines over time; stacked where their sum has a meaning."""
    panel = (
        timeseries.Panel()
        .title(words.title)
        .description(words.description)
        .unit(words.unit)
        .datasource(SOURCE)
        .height(8)
        .span(width)
        .min(0)
        .line_width(1)
        .fill_opacity(20 if stacked else 5)
        .show_points(common_model.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    for ref, line in zip("ABCDEFGH", drawn, strict=False):
        panel = panel.with_target(_query(line, ref).range())
    return panel


def _query(line: Line, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(line.expr).legend_format(line.legend).ref_id(ref).datasource(SOURCE)


def _steps(steps: Sequence[tuple[float | None, str]]) -> dashboard.ThresholdsConfig:
    thresholds = [model.Threshold(value=start, color=colour) for start, colour in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(common_model.LegendDisplayMode.LIST)
        .placement(common_model.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
