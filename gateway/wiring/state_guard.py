"""The guard of the state store, on real adapters, and everything that is read through it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gateway.adapters.decision_file import DecisionFile
from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.redis_decisions import RedisDecisions
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.core import sealing
from gateway.core.decisions import RECORDED, Marks, from_audit
from gateway.flow.narrowing import GuardedLedger, NarrowedDirectory, NarrowedNamespaces, standing
from gateway.flow.state_guard import StateGuard
from gateway.ports import AuditLog, Clock, Meter, StoreUnavailable
from gateway.settings import Settings
from gateway.wiring.audit import genuine_records


@dataclass(frozen=True, slots=True)
class GuardedState:
    """The state store, as this process believes it."""

    guard: StateGuard
    directory: NarrowedDirectory
    namespace_store: NarrowedNamespaces
    ledger: GuardedLedger


async def open_state(
    settings: Settings,
    master: bytes,
    store: RedisStore,
    audit: AuditLog,
    clock: Clock,
    meter: Meter,
    report: Callable[[str], object],
) -> GuardedState:
    """Compared with what this machine remembers already, if the store answers."""
    key = sealing.derive_key(master, "directory")
    directory = RedisDirectory(store, key, clock, meter)
    namespaces = RedisNamespaces(store, key, clock, meter, settings.cache.namespace_max_bytes)
    memory = DecisionFile(settings.decisions_file, key, clock)
    if memory.load() is None:
        memory.merge(_on_record(settings, master))
    decisions = RedisDecisions(store, key, clock, meter)
    guard = StateGuard(decisions, memory, partial(standing, directory, namespaces), audit, clock, meter, report)
    await guard.remember()
    with suppress(StoreUnavailable):
        await guard.look()
    return GuardedState(
        guard,
        NarrowedDirectory(directory, guard),
        NarrowedNamespaces(namespaces, guard),
        GuardedLedger(RedisLedger(store), guard),
    )


def remember_records(settings: Settings, master: bytes, clock: Clock) -> None:
    """Add what is on this machine's audit record to what it remembers: what a command could not put into the store."""
    memory = DecisionFile(settings.decisions_file, sealing.derive_key(master, "directory"), clock)
    memory.merge(_on_record(settings, master))


def _on_record(settings: Settings, master: bytes) -> Marks:
    return from_audit(genuine_records(settings, master, RECORDED))
