"""The composition root: the flow of one worker on given adapters. Opens nothing."""

import logging
from dataclasses import dataclass

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
from gateway.flow.holdings import Holdings
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.lookup import Lookup
from gateway.flow.namespace_answers import NamespaceAnswers
from gateway.flow.pipeline import Pipeline
from gateway.flow.planner import Planner
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.reader_queue import ReaderQueue
from gateway.flow.render import Renderer
from gateway.flow.request_parser import RequestParser
from gateway.flow.reserve import Reserver
from gateway.flow.respond import Responder
from gateway.flow.runtime import Runtime
from gateway.flow.shared_cache import SharedCache
from gateway.flow.single_flight import SingleFlight
from gateway.flow.spot_check import SpotCheckBudget, SpotChecker
from gateway.flow.upstream_queue import QueueConfig, UpstreamQueue
from gateway.flow.wait_queue import WaitQueue
from gateway.flow.waiting_limit import WaitingLimit
from gateway.ports import (
    AccessLog,
    AuditLog,
    CacheStore,
    Directory,
    Ledger,
    NamespaceStore,
    PurgeStore,
    Reader,
    Throttle,
    Upstream,
)
from gateway.settings import Settings
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys

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
    upstream: Upstream
    audit: AuditLog
    access_log: AccessLog
    reader: Reader
    runtime: Runtime


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


def key_pepper(master: bytes) -> bytes:
    """The secret under which digests of virtual keys are made."""
    return sealing.derive_key(master, "virtual-keys")


def assemble(adapters: Adapters, settings: Settings, master: bytes, upstream_keys: list[UpstreamKey]) -> Flow:
    """The flow on these adapters."""
    a, s, runtime, keys = adapters, settings, adapters.runtime, sealing_keys(master)
    local_cache = LocalCache(runtime.meter, s.cache.local_calls_bytes, s.cache.local_answers_bytes)
    authenticator = Authenticator(a.directory, runtime, key_pepper(master))
    poller = InvalidationPoller(
        a.directory, a.cache, a.purge_store, a.namespace_store, authenticator, local_cache, runtime
    )
    waiting = WaitingLimit(runtime.meter, s.admission.max_waiting, s.admission.max_waiting_per_user)
    queue = WaitQueue(runtime, s.admission.max_wait_s, waiting)
    admission = Admission(a.ledger, s.limits.limit_config(), queue, runtime, s.admission.max_wait_s)
    reserver = Reserver(a.ledger, s.limits.limit_config(), queue, runtime, s.admission.reservation_lease_s)
    asked = policies(s.policy.model_dump())
    enforcer = PolicyEnforcer(a.audit, asked, runtime)
    request = s.request
    bodies = BodyBudget(
        request.bodies_bytes, request.user_bodies_bytes, s.admission.max_waiting_per_user, runtime.meter
    )
    reader = ReaderQueue(a.reader, runtime.meter)
    parser = RequestParser(local_cache, parse_config(s), request.max_body_bytes, bodies, reader)
    planner = Planner(poller, local_cache, cache_config(s, master))
    breaker = Breaker(s.breaker.failures, s.breaker.open_s)
    places = UpstreamQueue(upstream_keys, breaker, _queue_config(s), waiting, runtime, log.warning)
    dispatcher = Dispatcher(a.upstream, CrashMemory(), AnswerCheck(reader), _upstream_config(s), runtime)
    cache = SharedCache(a.cache, keys.entries, s.cache.max_entry_bytes, runtime)
    namespaces = NamespaceAnswers(a.namespace_store, keys.records, runtime)
    stores, stats = AnswerStores(cache, namespaces, s.cache.max_entry_bytes), CacheStats(a.cache, runtime)
    checks = _spot_check_config(s)
    budget = SpotCheckBudget(a.ledger, reserver, checks, runtime, s.admission.reservation_lease_s)
    checker = SpotChecker(cache, local_cache, a.purge_store, dispatcher, places, budget, checks, runtime)
    renderer = Renderer(local_cache, keys.receipts)
    lookup = Lookup(stores, local_cache, renderer, stats, checker, runtime)
    flights = _single_flight(s, cache, a.cache, runtime)
    computation = Computation(flights, reserver, places, dispatcher, stores, stats, runtime)
    caller_warnings = CallerWarnings(a.throttle, runtime)
    responder = Responder(enforcer, caller_warnings, a.access_log, runtime)
    pipeline = Pipeline(authenticator, parser, enforcer, planner, admission, lookup, computation, responder)
    explainer = Explainer(authenticator, admission, parser, asked, planner, renderer, s.cache.max_entry_bytes, runtime)
    holdings = _holdings(local_cache, authenticator, caller_warnings, checker, flights, admission, enforcer, runtime)
    return Flow(pipeline, responder, explainer, renderer, enforcer, poller, admission, places, stats, holdings)


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
    upstream = settings.upstream
    return UpstreamConfig(upstream.retries, upstream.max_answer_bytes, upstream.url)


def _queue_config(settings: Settings) -> QueueConfig:
    upstream, admission = settings.upstream, settings.admission
    return QueueConfig(
        max_concurrent=upstream.max_concurrent,
        max_wait_s=admission.max_wait_s,
        total_s=upstream.total_s,
        cooldown_s=upstream.cooldown_s,
        weight=lambda user: admission.weights.get(user, 1.0),
    )


def _single_flight(settings: Settings, cache: SharedCache, store: CacheStore, runtime: Runtime) -> SingleFlight:
    lease_s = settings.cache.lease_s
    return SingleFlight(store, runtime, cache.open, LEASE_FRACTION * lease_s, settings.upstream.total_s + lease_s)


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
