"""The flow of one worker on a given world: which part gets which, and nothing opened."""

import logging
from dataclasses import dataclass

from gateway.core import envelope, revalidation
from gateway.core.breaker import Breaker
from gateway.core.caching import Scheme
from gateway.core.endpoint import Rules
from gateway.flow.admission import Admission
from gateway.flow.advise import Adviser
from gateway.flow.coalesce import Coalescer
from gateway.flow.deliver import Deliver
from gateway.flow.dispatch import Dispatcher, Terms, UpstreamKey
from gateway.flow.explain import Explain
from gateway.flow.keyring import Keyring
from gateway.flow.line import Line
from gateway.flow.memory import Memory
from gateway.flow.permit import Permit
from gateway.flow.pipeline import Pipeline
from gateway.flow.recall import Recall
from gateway.flow.reserve import Reserver
from gateway.flow.revalidate import Revalidator
from gateway.flow.seen import Seen
from gateway.flow.watch import Watch
from gateway.ports import (
    AccessLog,
    Archive,
    AuditLog,
    CacheStore,
    Clock,
    Directory,
    Ledger,
    Meter,
    Notices,
    Purges,
    Tasks,
    Upstream,
)
from gateway.settings import Settings
from gateway.wiring import cache_terms

log = logging.getLogger("gateway")
# The setting says when another takes over; a lease ends a little before, so that to notice it fits into that time.
LEASE_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside: one implementation of each port."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purges: Purges
    archive: Archive
    notices: Notices
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
    deliver: Deliver
    watch: Watch
    recall: Recall
    admission: Admission
    dispatcher: Dispatcher
    seen: Seen
    explain: Explain


def pepper(master: bytes) -> bytes:
    """The secret under which digests of virtual keys are made."""
    return envelope.derive(master, "virtual-keys")


def assemble(world: World, settings: Settings, master: bytes, upstream_keys: list[UpstreamKey]) -> Flow:
    """The flow on this world. Opens nothing."""
    w, s = world, settings
    book = s.limits.book()
    memory = Memory(w.meter, s.cache.memory_calls_bytes, s.cache.memory_answers_bytes)
    keyring = Keyring(w.directory, w.clock, w.meter, pepper(master))
    watch = Watch(w.directory, w.purges, w.archive, keyring, memory, w.clock, w.meter)
    line = Line(w.clock, w.tasks, w.meter, s.admission.max_wait_s, s.admission.max_waiting)
    admission = Admission(w.ledger, book, line, w.clock, w.tasks, w.meter)
    permit = Permit(w.audit, w.clock, w.meter, {"concern": s.policy.concern})
    deliver = Deliver(permit, w.access, w.clock, w.tasks, w.meter)
    breaker = Breaker(s.breaker.failures, s.breaker.open_s)
    sealing = cache_terms.cache_keys(master)
    recall = Recall(w.cache, w.archive, memory, w.clock, w.meter, sealing, s.cache.max_entry_bytes)
    dispatcher = Dispatcher(w.upstream, upstream_keys, breaker, _terms(s), w.clock, w.meter, log.warning)
    reserver = Reserver(w.ledger, book, line, w.clock, w.tasks, w.meter, s.admission.reservation_lease_s)
    scheme, rules, seen = cache_terms.scheme(s, master), cache_terms.parsing_rules(s), Seen(w.cache, w.clock, w.meter)
    pipeline = Pipeline(
        keyring=keyring,
        memory=memory,
        permit=permit,
        watch=watch,
        admission=admission,
        recall=recall,
        coalescer=_coalescer(w, s, recall),
        reserver=reserver,
        dispatcher=dispatcher,
        deliver=deliver,
        revalidator=_revalidator(w, s, recall, dispatcher, breaker, reserver, scheme.rule_set),
        adviser=Adviser(w.notices, w.clock, w.meter),
        seen=seen,
        scheme=scheme,
        rules=rules,
        max_body_bytes=s.request.max_body_bytes,
        tasks=w.tasks,
        clock=w.clock,
        meter=w.meter,
    )
    explain = _explain(w, s, keyring, watch, recall, scheme, rules)
    return Flow(pipeline, deliver, watch, recall, admission, dispatcher, seen, explain)


def _terms(settings: Settings) -> Terms:
    part = settings.upstream
    return Terms(part.retries, part.rest_s, part.max_answer_bytes, part.url)


def _explain(
    world: World, settings: Settings, keyring: Keyring, watch: Watch, recall: Recall, scheme: Scheme, rules: Rules
) -> Explain:
    return Explain(
        keyring=keyring,
        watch=watch,
        recall=recall,
        clock=world.clock,
        scheme=scheme,
        rules=rules,
        max_body_bytes=settings.request.max_body_bytes,
        max_entry_bytes=settings.cache.max_entry_bytes,
    )


def _coalescer(w: World, s: Settings, recall: Recall) -> Coalescer:
    lease_s, patience_s = LEASE_SHARE * s.cache.lease_s, s.upstream.total_s + s.cache.lease_s
    return Coalescer(w.cache, w.clock, w.tasks, w.meter, recall.checked, lease_s, patience_s)


def _revalidator(
    world: World,
    settings: Settings,
    recall: Recall,
    dispatcher: Dispatcher,
    breaker: Breaker,
    reserver: Reserver,
    rule_set: str,
) -> Revalidator:
    w, cache = world, settings.cache
    return Revalidator(
        recall=recall,
        purges=w.purges,
        dispatcher=dispatcher,
        breaker=breaker,
        ledger=w.ledger,
        reserver=reserver,
        clock=w.clock,
        tasks=w.tasks,
        meter=w.meter,
        terms=revalidation.Terms(
            cache.revalidate_share,
            cache.revalidate_units_per_day,
            cache.revalidate_classes,
            cache.revalidate_again_s,
        ),
        lease_s=settings.admission.reservation_lease_s,
        models=settings.models,
        rule_set=rule_set,
    )
