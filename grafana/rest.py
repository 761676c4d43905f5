"""A plain panel for every metric that no panel and no alert asks for, so that a new metric is shown at once."""

from dataclasses import replace

from board import Board
from panels import Line, Panels, Words, lines
from queries import now, quantile, rate

from gateway.core.metrics import METRICS, Metric

ABOUT_THE_CACHE = ("cache", "collapsed", "saved", "lease")


def with_rest(board: Board, about_the_cache: bool, shown: str) -> Board:
    """The board with a last row of what `shown` does not name."""
    rest = [
        metric
        for metric in METRICS
        if metric.name not in shown and any(word in metric.name for word in ABOUT_THE_CACHE) == about_the_cache
    ]
    return replace(board, rows=(*board.rows, ("Other metrics", lambda: _panels(rest)))) if rest else board


def _panels(metrics: list[Metric]) -> Panels:
    return [
        lines(
            Words(metric.name, metric.help, _unit(metric)),
            Line(_query(metric), " ".join(f"{{{{{label}}}}}" for label in metric.labels) or metric.name),
        )
        for metric in metrics
    ]


def _query(metric: Metric) -> str:
    if metric.kind == "histogram":
        return quantile(0.95, metric, by=metric.labels)
    return (rate if metric.kind == "counter" else now)(metric, by=metric.labels)


def _unit(metric: Metric) -> str:
    if metric.kind == "counter":
        return "Bps" if "bytes" in metric.name else "ops"
    return "s" if metric.kind == "histogram" else "bytes" if "bytes" in metric.name else "short"
