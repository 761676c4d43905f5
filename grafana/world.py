"""Rows about what the gateway depends on: the upstream, policies and audit, keys, stores, memory.

A panel is one statement about rows of core.metrics. Alerts are in deploy/prometheus.
"""

from panels import Line, Panels, Words, lines
from queries import increase, now, quantile, rate, rate_of_what_happened, ratio

from gateway.core.metrics import (
    AUDIT_COUNTED,
    AUDIT_FAILURES,
    AUDIT_RECORDS,
    AUTH_FAILURES,
    BREAKER,
    HELD,
    IN_FLIGHT,
    LATENCY,
    LOCAL_CACHE_BYTES,
    POLICY,
    STORE_ERRORS,
    STORE_LOST,
    STORE_UNUSABLE,
    UPSTREAM_KEYS,
    UPSTREAM_REQUESTS,
)

ANSWERED = ratio(rate(UPSTREAM_REQUESTS, 'outcome="ok"'), rate(UPSTREAM_REQUESTS))


def upstream() -> Panels:
    return [
        lines(
            Words("Upstream keys", "Keys by state: the fewest ready, the most of the others in any worker.", "short"),
            Line(now(UPSTREAM_KEYS, 'state="ready"', fold="min"), "ready"),
            Line(now(UPSTREAM_KEYS, 'state!="ready"', by=("state",), fold="max"), "{{state}}"),
        ),
        lines(
            Words("Circuit breaker", "0 closed, 0.5 half-open, 1 open; the worst worker.", "short"),
            Line(now(BREAKER, fold="max"), "worst"),
        ),
        lines(
            Words("In flight", "Requests and upstream calls in flight now.", "short"),
            Line(now(IN_FLIGHT, by=("what",)), "{{what}}"),
        ),
        lines(
            Words("Upstream attempts by outcome", "Attempts per second, by how they ended.", "ops"),
            Line(rate_of_what_happened(UPSTREAM_REQUESTS, by=("outcome",)), "{{outcome}}"),
            width=12,
            stacked=True,
        ),
        lines(
            Words("Upstream success ratio", "Share of attempts that succeeded.", "percentunit"),
            Line(ANSWERED, "ok"),
            width=12,
        ),
    ]


def policy() -> Panels:
    return [
        lines(
            Words("Policy decisions", "Decisions in 5 minutes; a refusal in observe mode stops nothing.", "short"),
            Line(increase(POLICY, by=("policy", "mode", "decision")), "{{policy}} ({{mode}}): {{decision}}"),
            width=6,
        ),
        lines(
            Words("Audit records", "Written in 5 minutes, by kind; and refusals that are only counted.", "short"),
            Line(increase(AUDIT_RECORDS, by=("kind",)), "{{kind}}"),
            Line(increase(AUDIT_COUNTED, by=("policy",)), "refusals counted in one ({{policy}})"),
            width=6,
        ),
        lines(
            Words("Audit failures", "Audit records in 5 minutes that could not be written. Expect 0.", "short"),
            Line(increase(AUDIT_FAILURES), "failures"),
            width=6,
        ),
        lines(
            Words("Refused keys", "Virtual keys refused per second, by reason.", "ops"),
            Line(rate(AUTH_FAILURES, by=("reason",)), "{{reason}}"),
            width=6,
        ),
    ]


def stores_and_memory() -> Panels:
    return [
        lines(
            Words("Store errors", "Failed operations per second. State store: 503. Cache store: bypass.", "ops"),
            Line(rate_of_what_happened(STORE_ERRORS, by=("store", "operation")), "{{store}}: {{operation}}"),
        ),
        lines(
            Words("Stores lost", "Losses in 5 minutes by reason, and 1 while a store cannot be used.", "short"),
            Line(increase(STORE_LOST, by=("store", "reason")), "{{store}}: {{reason}}"),
            Line(now(STORE_UNUSABLE, by=("store",), fold="max"), "{{store}} cannot be used"),
        ),
        lines(
            Words("Store latency", "Time that requests spent waiting for the two stores.", "s"),
            Line(quantile(0.5, LATENCY, 'part="store"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="store"'), "p99"),
        ),
        lines(
            Words("Local caches", "Memory of the workers' in-process caches, by layer.", "bytes"),
            Line(now(LOCAL_CACHE_BYTES, by=("layer",)), "{{layer}}"),
            stacked=True,
        ),
        lines(
            Words("Held in memory", "What comes and goes with requests, all workers together.", "short"),
            Line(now(HELD, by=("what",)), "{{what}}"),
        ),
    ]
