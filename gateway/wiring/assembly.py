"""The composition root: the flow of one worker on given adapters. Opens nothing."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway.core import sealing
from gateway.core.breaker import Breaker
from gateway.core.crash_memory import CrashMemory
from gateway.core.policies import policies
from gateway.core.spot_check import SpotCheckConfig
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.admission import Admission
from gateway.flow.answer_check import AnswerCheck
from gateway.flow.answer_stores import AnswerStores
from gateway.flow.authenticate import Authenticator
from gateway.flow.body_budget import BodyBudget
from gateway.flow.cache_stats import CacheStats
from gateway.flow.caller_warnings import CallerWarnings
from gateway.flow.compute import Computation
from gateway.flow.dispatch import Dispatcher, UpstreamConfig
from gateway.flow.explain import Explainer
from gateway.flow.flight_result import FailureMessages
from gateway.flow.holdings import Holdings
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.large_answers import LargeAnswers
from gateway.flow.local_cache import LocalCache
from gateway.flow.lookup import Lookup
from gateway.flow.namespace_answers import NamespaceAnswers
from gateway.flow.pipeline import Pipeline
from gateway.flow.planner import Planner
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.reader_queue import ReaderQueue
from gateway.flow.receipt_desk import ReceiptDesk
from gateway.flow.render import Renderer
from gateway.flow.request_parser import RequestParser
from gateway.flow.reserve import Reserver
from gateway.flow.respond import Responder
from gateway.flow.runtime import Runtime
from gateway.flow.sample_runs import SampleRuns
from gateway.flow.shared_cache import SharedCache
from gateway.flow.single_flight import SingleFlight
from gateway.flow.spot_check import SpotCheckBudget, SpotChecker
from gateway.flow.store_status import StoreStatus
from gateway.flow.upstream_queue import QueueConfig, UpstreamQueue
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from gateway.ports import (
    AccessLog,
    AuditLog,
    CacheStore,
    Directory,
    Ledger,
    Meter,
    NamespaceStore,
    PurgeStore,
    Reader,
    RunCounters,
    Throttle,
    Upstream,
)
from gateway.settings import Settings
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys, signer, trusted_signers

log = logging.getLogger("gateway")
# The setting says when another worker takes over; a lease ends a little earlier, so that noticing it fits in.
LEASE_FRACTION = 0.95


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything outside: one implementation of each port."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purge_store: PurgeStore
    namespace_store: NamespaceStore
    throttle: Throttle
    run_counters: RunCounters
    upstream: Upstream
    audit: AuditLog
    access_log: AccessLog
    reader: Reader
    runtime: Runtime
    loops: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    """What adapters do in the background, by name."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One worker's flow, with the parts that run in the background or are used beside the pipeline."""

    pipeline: Pipeline
    responder: Responder
    explainer: Explainer
    renderer: Renderer
    policy: PolicyEnforcer
    poller: InvalidationPoller
    admission: Admission
    places: UpstreamQueue
    stats: CacheStats
    holdings: Holdings
    status: StoreStatus


def key_pepper(master: bytes) -> bytes:
    """The secret under which digests of virtual keys are made."""
    return sealing.derive_key(master, "virtual-keys")


def assemble(adapters: Adapters, settings: Settings, master: bytes, upstream_keys: list[UpstreamKey]) -> Flow:
    """The flow on these adapters."""
    a, s, runtime, keys = adapters, settings, adapters.runtime, sealing_keys(master)
    local_cache = LocalCache(runtime.meter, s.cache.local_calls_bytes, s.cache.local_answers_bytes)
    authenticator = Authenticator(a.directory, runtime, key_pepper(master))
    known = StoreStatus(runtime, log.warning)
    poller = _poller(a, authenticator, local_cache, known)
    waiting = WaitingLimit(runtime.meter, s.admission.max_waiting, s.admission.max_waiting_per_user)
    queue = WaitQueue(runtime, s.admission.max_wait_s, waiting)
    admission = Admission(a.ledger, s.limits.limit_config(), queue, runtime, s.admission.max_wait_s, known.state_lost)
    reserver = Reserver(a.ledger, s.limits.limit_config(), queue, runtime, s.admission.reservation_lease_s)
    asked = policies(s.policy.model_dump())
    enforcer = PolicyEnforcer(a.audit, asked, runtime)
    reader, bodies = ReaderQueue(a.reader, runtime.meter), _body_budget(s, runtime.meter)
    parser = RequestParser(local_cache, parse_config(s), s.request.max_body_bytes, bodies, reader)
    runs = SampleRuns(a.run_counters, sealing.derive_key(master, "sample-runs"), runtime)
    planner = Planner(poller, local_cache, runs, cache_config(s, master))
    breaker = Breaker(s.breaker.failures, s.breaker.open_s)
    places = UpstreamQueue(upstream_keys, breaker, _queue_config(s), waiting, runtime, log.warning)
    answers = AnswerCheck(reader, runtime.meter, check_echo=s.cache.check_echo)
    large, config = LargeAnswers(s.upstream.large_answers), _upstream_config(s)
    dispatcher = Dispatcher(a.upstream, CrashMemory(), answers, large, config, runtime)
    cache = SharedCache(a.cache, keys.entries, s.cache.max_entry_bytes, runtime)
    namespaces = NamespaceAnswers(a.namespace_store, keys.records, runtime)
    stores, stats = AnswerStores(cache, namespaces, answers, s.cache.max_entry_bytes), CacheStats(a.cache, runtime)
    checks = _spot_check_config(s)
    budget = SpotCheckBudget(a.ledger, reserver, checks, runtime, s.admission.reservation_lease_s)
    checker = SpotChecker(cache, local_cache, a.purge_store, dispatcher, places, budget, checks, runtime)
    renderer = Renderer(local_cache, keys.receipts)
    lookup = Lookup(stores, local_cache, renderer, stats, checker, runtime)
    failures = FailureMessages(keys.entries, runtime)
    flights = SingleFlight(a.cache, runtime, cache.open, failures, LEASE_FRACTION * s.cache.lease_s)
    computation = Computation(flights, reserver, places, dispatcher, stores, stats, runtime)
    caller_warnings = CallerWarnings(a.throttle, runtime)
    responder = Responder(enforcer, caller_warnings, runs, a.access_log, runtime)
    pipeline = Pipeline(authenticator, parser, enforcer, planner, admission, lookup, computation, responder)
    desk = ReceiptDesk(renderer, partial(signer, s), trusted_signers(s))
    explainer = Explainer(authenticator, admission, parser, asked, planner, desk, s.cache.max_entry_bytes, runtime)
    holdings = _holdings(local_cache, authenticator, caller_warnings, checker, flights, admission, enforcer, runtime)
    return Flow(pipeline, responder, explainer, renderer, enforcer, poller, admission, places, stats, holdings, known)


def _poller(
    a: Adapters, authenticator: Authenticator, local_cache: LocalCache, known: StoreStatus
) -> InvalidationPoller:
    return InvalidationPoller(
        a.directory, a.cache, a.purge_store, a.namespace_store, authenticator, local_cache, a.runtime, known
    )


def _body_budget(settings: Settings, meter: Meter) -> BodyBudget:
    request = settings.request
    return BodyBudget(request.bodies_bytes, request.user_bodies_bytes, settings.admission.max_waiting_per_user, meter)


def _holdings(
    local_cache: LocalCache,
    authenticator: Authenticator,
    caller_warnings: CallerWarnings,
    checker: SpotChecker,
    flights: SingleFlight,
    admission: Admission,
    enforcer: PolicyEnforcer,
    runtime: Runtime,
) -> Holdings:
    """The gauges of all memories."""
    return Holdings(
        lambda: {
            **local_cache.sizes(),
            "keys": authenticator.bytes,
            "warnings": caller_warnings.bytes,
            "spot_checks": checker.bytes,
        },
        lambda: {
            "flights": flights.held,
            "allowances": admission.held,
            "refused_users": enforcer.held,
            "tasks": len(runtime.tasks),
        },
        runtime,
    )


def _upstream_config(settings: Settings) -> UpstreamConfig:
    upstream, obeys_no_store = settings.upstream, settings.cache.upstream_no_store == "obey"
    return UpstreamConfig(upstream.retries, upstream.max_answer_bytes, upstream.url, obeys_no_store)


def _queue_config(settings: Settings) -> QueueConfig:
    upstream, admission = settings.upstream, settings.admission
    return QueueConfig(
        max_concurrent=upstream.max_concurrent,
        max_wait_s=admission.max_wait_s,
        total_s=upstream.total_s,
        cooldown_s=upstream.cooldown_s,
        weight=lambda user: admission.weights.get(user, 1.0),
    )


def _spot_check_config(settings: Settings) -> SpotCheckConfig:
    cache = settings.cache
    return SpotCheckConfig(
        fraction=cache.spot_check_fraction,
        units_per_day=cache.spot_check_units_per_day,
        classes=cache.spot_check_classes,
        interval_s=cache.spot_check_interval_s,
        models=tuple(settings.models),
        rule_set=parse_config(settings).rule_set.name,
    )
