"""Rows about the service that callers get: is it well, their requests, what is remembered, what they may spend.

A panel is one statement about rows of core.metrics. Nothing here decides what is an alarm: deploy/prometheus does.
"""

from grafana_foundation_sdk.builders import timeseries
from panels import GREEN, RED, YELLOW, Line, Panels, Words, lines, number
from queries import FAULTS, increase, now, quantile, rate, ratio

from gateway.core.metrics import (
    BUILD_INFO,
    CACHE,
    CACHE_BAD_ENTRIES,
    COLLAPSED,
    LATENCY,
    QUEUE_WAITS,
    QUOTA_REFUSALS,
    REQUESTS,
    UNITS,
    UPSTREAM_KEYS,
)

ERRORS = ratio(rate(REQUESTS, f'outcome=~"{FAULTS}"'), rate(REQUESTS))
REMEMBERED = ratio(rate(REQUESTS, 'outcome=~"hit|collapsed"'), rate(REQUESTS, 'outcome=~"hit|collapsed|miss|bypass"'))
HITS = ratio(rate(CACHE, 'result="hit"'), rate(CACHE, 'result=~"hit|miss"'))


def at_a_glance() -> Panels:
    return [
        number(
            Words("Gateways up", "Gateways whose metrics Prometheus could read at its last try.", "short"),
            Line('sum(up{job="esm-gateway", instance=~"$instance"})', "up"),
            [(None, RED), (1, GREEN)],
        ),
        number(
            Words("Error ratio", "Share of requests that the gateway or the upstream failed (5xx).", "percentunit"),
            Line(ERRORS, "errors"),
            [(None, GREEN), (0.01, YELLOW), (0.05, RED)],
        ),
        number(
            Words("Requests", "Requests answered each second, refusals included.", "reqps"),
            Line(rate(REQUESTS), "requests"),
            [(None, GREEN)],
        ),
        number(
            Words("From memory", "Share of good answers that needed no upstream call of their own.", "percentunit"),
            Line(REMEMBERED, "from memory"),
            [(None, GREEN)],
        ),
        number(
            Words("Upstream keys ready", "Upstream keys that may be used now, as the worst worker sees it.", "short"),
            Line(now(UPSTREAM_KEYS, 'state="ready"', fold="min"), "ready"),
            [(None, RED), (1, GREEN)],
        ),
        number(
            Words("Version", "The version that runs; two names while a roll-out is under way.", "short"),
            Line(now(BUILD_INFO, by=("version",)), "{{version}}"),
            [(None, GREEN)],
            text="name",
        ),
    ]


def requests() -> Panels:
    return [
        lines(
            Words("Requests by outcome", "Every answer: how it was found, or why it was refused.", "reqps"),
            Line(rate(REQUESTS, by=("outcome",)), "{{outcome}}"),
            stacked=True,
        ),
        lines(
            Words("Requests by endpoint", "Which of the upstream's endpoints people use.", "reqps"),
            Line(rate(REQUESTS, by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Error ratio", "Share of requests that failed without the caller's fault (5xx).", "percentunit"),
            Line(ERRORS, "errors"),
        ),
        *(_latency(name, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))),
    ]


def _latency(name: str, q: float) -> timeseries.Panel:
    said = f"{q:.0%} of requests took at most this long: in all, and in each part of their way."
    return lines(
        Words(f"Seconds by part, {name}", said, "s"), Line(quantile(q, LATENCY, by=("part",)), f"{name} {{{{part}}}}")
    )


def cache() -> Panels:
    return [
        lines(
            Words("Hit ratio", "Share of cache look-ups that found an answer.", "percentunit"),
            Line(HITS, "hits"),
        ),
        lines(
            Words("Look-ups by result", "What the cache said: hit, miss, or not asked.", "ops"),
            Line(rate(CACHE, by=("result",)), "{{result}}"),
            stacked=True,
        ),
        lines(
            Words("Why not a hit", "Reasons of misses and of calls that the cache was not asked about.", "ops"),
            Line(rate(CACHE, 'result!="hit"', by=("result", "reason")), "{{result}}: {{reason}}"),
        ),
        lines(
            Words("Bad entries", "Stored answers in 5 minutes that were broken, forged or swapped. Expect 0.", "short"),
            Line(increase(CACHE_BAD_ENTRIES), "bad entries"),
            width=12,
        ),
        lines(
            Words("Shared answers", "Calls that got the fresh answer of an equal call under way.", "ops"),
            Line(rate(COLLAPSED, by=("scope",)), "within the {{scope}}"),
            width=12,
        ),
    ]


def quotas() -> Panels:
    return [
        lines(
            Words("Units", "Units per second: reserved before, settled or refunded after, saved by memory.", "short"),
            Line(rate(UNITS, by=("event",)), "{{event}}"),
        ),
        lines(
            Words("Units spent by endpoint", "Settled units per second: what the upstream really worked.", "short"),
            Line(rate(UNITS, 'event="settled"', by=("endpoint",)), "{{endpoint}}"),
            stacked=True,
        ),
        lines(
            Words("Refusals by limit", "Calls refused per second, by the limit that said no.", "ops"),
            Line(rate(QUOTA_REFUSALS, by=("limit",)), "{{limit}}"),
        ),
        lines(
            Words("Waits for a rate", "Calls that had to wait for their rate: admitted in the end, or not.", "ops"),
            Line(rate(QUEUE_WAITS, by=("result",)), "{{result}}"),
            width=12,
        ),
        lines(
            Words("Seconds waited", "How long waiting calls waited: half of them, and all but one in a hundred.", "s"),
            Line(quantile(0.5, LATENCY, 'part="queue"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="queue"'), "p99"),
            width=12,
        ),
    ]
