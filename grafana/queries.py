"""PromQL from the rows of core.metrics, so that a panel cannot name a metric or label that does not exist.

Builds text only. Every series is restricted to the instances chosen at the top of the dashboard.
"""

import re

from gateway.core.metrics import Metric
from gateway.core.problems import PROBLEM_TYPES

CHOSEN = 'instance=~"$instance"'
FAULTS = "|".join(kind.slug for kind in PROBLEM_TYPES if kind.status >= 500 and kind.status not in (501, 505))
"""Outcomes that count as errors. Not 501 and 505: a caller sent what nobody here implements."""


def series(metric: Metric, *conditions: str, suffix: str = "") -> str:
    """A selector; each condition is a PromQL matcher such as `label="value"`."""
    for condition in conditions:
        _must_have(metric, re.split(r"[=!]", condition)[0])
    return f"{metric.name}{suffix}{{{', '.join((CHOSEN, *conditions))}}}"


def rate(metric: Metric, *conditions: str, by: tuple[str, ...] = (), fold: str = "sum") -> str:
    """Per second, summed over all labels but `by`; with fold max, the largest gateway."""
    return f"{_sum(metric, by, fold)}(rate({series(metric, *conditions)}[$__rate_interval]))"


def increase(metric: Metric, *conditions: str, by: tuple[str, ...] = (), over: str = "5m", fold: str = "sum") -> str:
    """How often in the last five minutes or over a longer time, for rare events and sums of a day."""
    return f"{_sum(metric, by, fold)}(increase({series(metric, *conditions)}[{over}]))"


def rate_of_what_happened(metric: Metric, *conditions: str, by: tuple[str, ...]) -> str:
    """As `rate`, without the many series that stand at zero all the time that the dashboard shows."""
    happened = f"{_sum(metric, by)}(increase({series(metric, *conditions)}[$__range])) > 0"
    return f"{rate(metric, *conditions, by=by)} and {happened}"


def now(metric: Metric, *conditions: str, by: tuple[str, ...] = (), fold: str = "sum") -> str:
    """A gauge over all instances: their sum, or the worst of them (fold min or max)."""
    return f"{_sum(metric, by, fold)}({series(metric, *conditions)})"


def quantile(q: float, metric: Metric, *conditions: str, by: tuple[str, ...] = ()) -> str:
    """The q-quantile of a duration."""
    buckets = series(metric, *conditions, suffix="_bucket")
    for label in by:
        _must_have(metric, label)
    return f"histogram_quantile({q}, sum by ({', '.join(('le', *by))}) (rate({buckets}[$__rate_interval])))"


def ratio(part: str, whole: str, by: tuple[str, ...] = ()) -> str:
    """A share: 0 where the part has never happened, no value where the whole is zero."""
    nothing = f"0 * {whole}" if by else "vector(0)"
    return f"({part} or {nothing}) / ({whole} > 0)"


def _sum(metric: Metric, by: tuple[str, ...], fold: str = "sum") -> str:
    for label in by:
        _must_have(metric, label)
    return f"{fold} by ({', '.join(by)}) " if by else f"{fold} "


def _must_have(metric: Metric, label: str) -> None:
    if label not in metric.labels:
        raise ValueError(f"{metric.name} has no label {label}")
