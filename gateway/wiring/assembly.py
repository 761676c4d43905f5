"""The flow of one worker on a given world: which part gets which, and nothing opened."""

import logging
from dataclasses import dataclass

from gateway.core import sealing, spot_check
from gateway.core.breaker import Breaker
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.flow.admission import Admission
from gateway.flow.authenticate import Authenticator
from gateway.flow.cache import AnswerCache
from gateway.flow.cache_stats import CacheStats
from gateway.flow.caller_warnings import CallerWarnings
from gateway.flow.dispatch import Dispatcher, UpstreamConfig, UpstreamKey
from gateway.flow.explain import Explainer
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.local_cache import LocalCache
from gateway.flow.pipeline import Pipeline
from gateway.flow.policy import PolicyEnforcer
from gateway.flow.reserve import Reserver
from gateway.flow.respond import Responder
from gateway.flow.single_flight import SingleFlight
from gateway.flow.spot_check import SpotChecker
from gateway.flow.wait_queue import WaitQueue
from gateway.ports import (
    AccessLog,
    AuditLog,
    CacheStore,
    Clock,
    Directory,
    Ledger,
    Meter,
    NamespaceStore,
    PurgeStore,
    Tasks,
    Throttle,
    Upstream,
)
from gateway.settings import Settings
from gateway.wiring import cache_config

log = logging.getLogger("gateway")
# The setting says when another takes over; a lease ends a little before, so that to notice it fits into that time.
LEASE_SHARE = 0.95


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
    meter: Meter
    access: AccessLog
    clock: Clock
    tasks: Tasks


@dataclass(frozen=True, slots=True)
class Flow:
    """One worker's flow, with the parts that need looking after while it runs."""

    pipeline: Pipeline
    responder: Responder
    poller: InvalidationPoller
    recall: AnswerCache
    admission: Admission
    dispatcher: Dispatcher
    seen: CacheStats
    explain: Explainer


def key_pepper(master: bytes) -> bytes:
    """The secret under which digests of virtual keys are made."""
    return sealing.derive_key(master, "virtual-keys")


def assemble(world: Adapters, settings: Settings, master: bytes, upstream_keys: list[UpstreamKey]) -> Flow:
    """The flow on this world. Opens nothing."""
    w, s = world, settings
    limit_config = s.limits.limit_config()
    memory = LocalCache(w.meter, s.cache.local_calls_bytes, s.cache.local_answers_bytes)
    authenticator = Authenticator(w.directory, w.clock, w.meter, key_pepper(master))
    watch = InvalidationPoller(w.directory, w.purge_store, w.namespace_store, authenticator, memory, w.clock, w.meter)
    line = WaitQueue(w.clock, w.tasks, w.meter, s.admission.max_wait_s, s.admission.max_waiting)
    admission = Admission(w.ledger, limit_config, line, w.clock, w.tasks, w.meter)
    permit = PolicyEnforcer(w.audit, w.clock, w.meter, {"concern": s.policy.concern})
    deliver = Responder(permit, w.access, w.clock, w.tasks, w.meter)
    breaker = Breaker(s.breaker.failures, s.breaker.open_s)
    sealing = cache_config.cache_keys(master)
    recall = AnswerCache(w.cache, w.namespace_store, memory, w.clock, w.meter, sealing, s.cache.max_entry_bytes)
    dispatcher = Dispatcher(w.upstream, upstream_keys, breaker, _terms(s), w.clock, w.meter, log.warning)
    reserver = Reserver(w.ledger, limit_config, line, w.clock, w.tasks, w.meter, s.admission.reservation_lease_s)
    config, rules, seen = (
        cache_config.cache_config(s, master),
        cache_config.parsing_rules(s),
        CacheStats(w.cache, w.clock, w.meter),
    )
    pipeline = Pipeline(
        authenticator=authenticator,
        memory=memory,
        policy=permit,
        poller=watch,
        admission=admission,
        recall=recall,
        single_flight=_single_flight(w, s, recall),
        reserver=reserver,
        dispatcher=dispatcher,
        responder=deliver,
        spot_checker=_spot_checker(w, s, recall, dispatcher, breaker, reserver, config.rule_set),
        caller_warnings=CallerWarnings(w.throttle, w.clock, w.meter),
        seen=seen,
        cache_config=config,
        rules=rules,
        max_body_bytes=s.request.max_body_bytes,
        tasks=w.tasks,
        clock=w.clock,
        meter=w.meter,
    )
    explain = _explain(w, s, authenticator, watch, recall, config, rules)
    return Flow(pipeline, deliver, watch, recall, admission, dispatcher, seen, explain)


def _terms(settings: Settings) -> UpstreamConfig:
    part = settings.upstream
    return UpstreamConfig(part.retries, part.cooldown_s, part.max_answer_bytes, part.url)


def _explain(
    world: Adapters,
    settings: Settings,
    authenticator: Authenticator,
    watch: InvalidationPoller,
    recall: AnswerCache,
    config: CacheConfig,
    rules: ParseConfig,
) -> Explainer:
    return Explainer(
        authenticator=authenticator,
        poller=watch,
        recall=recall,
        clock=world.clock,
        cache_config=config,
        rules=rules,
        max_body_bytes=settings.request.max_body_bytes,
        max_entry_bytes=settings.cache.max_entry_bytes,
    )


def _single_flight(w: Adapters, s: Settings, recall: AnswerCache) -> SingleFlight:
    lease_s, patience_s = LEASE_SHARE * s.cache.lease_s, s.upstream.total_s + s.cache.lease_s
    return SingleFlight(w.cache, w.clock, w.tasks, w.meter, recall.checked, lease_s, patience_s)


def _spot_checker(
    world: Adapters,
    settings: Settings,
    recall: AnswerCache,
    dispatcher: Dispatcher,
    breaker: Breaker,
    reserver: Reserver,
    rule_set: str,
) -> SpotChecker:
    w, cache = world, settings.cache
    return SpotChecker(
        recall=recall,
        purge_store=w.purge_store,
        dispatcher=dispatcher,
        breaker=breaker,
        ledger=w.ledger,
        reserver=reserver,
        clock=w.clock,
        tasks=w.tasks,
        meter=w.meter,
        terms=spot_check.SpotCheckConfig(
            cache.spot_check_fraction,
            cache.spot_check_units_per_day,
            cache.spot_check_classes,
            cache.spot_check_interval_s,
        ),
        lease_s=settings.admission.reservation_lease_s,
        models=settings.models,
        rule_set=rule_set,
    )
