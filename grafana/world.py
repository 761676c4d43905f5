"""Rows about what the gateway leans on: the upstream, policies and audit, keys, stores, memory.

A panel is one statement about rows of core.metrics. Nothing here decides what is an alarm: deploy/prometheus does.
"""

from panels import Line, Panels, Words, lines
from queries import increase, now, quantile, rate, ratio

from gateway.core.metrics import (
    AUDIT_FAILURES,
    AUDIT_RECORDS,
    AUTH_FAILURES,
    BREAKER,
    IN_FLIGHT,
    LATENCY,
    LOCAL_CACHE_BYTES,
    POLICY,
    STORE_ERRORS,
    UPSTREAM_KEYS,
    UPSTREAM_REQUESTS,
)

ANSWERED = ratio(rate(UPSTREAM_REQUESTS, 'outcome="ok"'), rate(UPSTREAM_REQUESTS))


def upstream() -> Panels:
    return [
        lines(
            Words("Upstream keys", "Keys by state; the worst worker's view, the worst gateway's for ready.", "short"),
            Line(now(UPSTREAM_KEYS, 'state="ready"', fold="min"), "ready"),
            Line(now(UPSTREAM_KEYS, 'state!="ready"', by=("state",), fold="max"), "{{state}}"),
        ),
        lines(
            Words(
                "Breaker", "1 while nothing is sent upstream, 0.5 while one call tries, 0 when all is well.", "short"
            ),
            Line(now(BREAKER, fold="max"), "worst"),
        ),
        lines(
            Words("Under way", "Requests being answered and calls being computed upstream, now.", "short"),
            Line(now(IN_FLIGHT, by=("what",)), "{{what}}"),
        ),
        lines(
            Words("Tries by outcome", "Every try sent upstream and how it ended.", "ops"),
            Line(rate(UPSTREAM_REQUESTS, by=("outcome",)), "{{outcome}}"),
            width=12,
            stacked=True,
        ),
        lines(
            Words("Good tries", "Share of tries that the upstream answered well.", "percentunit"),
            Line(ANSWERED, "ok"),
            width=12,
        ),
    ]


def policy() -> Panels:
    return [
        lines(
            Words(
                "Policy decisions", "What policies permitted and refused in 5 minutes; observed means let by.", "short"
            ),
            Line(increase(POLICY, by=("policy", "mode", "decision")), "{{policy}} ({{mode}}): {{decision}}"),
            width=6,
        ),
        lines(
            Words("Audit records", "Records durably written in 5 minutes, by kind.", "short"),
            Line(increase(AUDIT_RECORDS, by=("kind",)), "{{kind}}"),
            width=6,
        ),
        lines(
            Words("Audit failures", "Records in 5 minutes that could not be written; the act was refused.", "short"),
            Line(increase(AUDIT_FAILURES), "failures"),
            width=6,
        ),
        lines(
            Words("Refused keys", "Virtual keys refused per second, by reason. Many unknown: somebody guesses.", "ops"),
            Line(rate(AUTH_FAILURES, by=("reason",)), "{{reason}}"),
            width=6,
        ),
    ]


def stores_and_memory() -> Panels:
    return [
        lines(
            Words("Store errors", "Failed operations per second. State: calls get 503. Cache: it is bypassed.", "ops"),
            Line(rate(STORE_ERRORS, by=("store", "operation")), "{{store}}: {{operation}}"),
        ),
        lines(
            Words("Seconds in the stores", "Time that requests spent waiting for the two stores.", "s"),
            Line(quantile(0.5, LATENCY, 'part="store"'), "p50"),
            Line(quantile(0.99, LATENCY, 'part="store"'), "p99"),
        ),
        lines(
            Words("Memory", "What the workers keep in their own memory, by layer.", "bytes"),
            Line(now(LOCAL_CACHE_BYTES, by=("layer",)), "{{layer}}"),
            stacked=True,
        ),
    ]
