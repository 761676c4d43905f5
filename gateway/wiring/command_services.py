"""What the commands use: the stores, the audit record and the administration, without request flow or HTTP server."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from gateway import __version__
from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_sealed_records import RedisSealedRecords
from gateway.adapters.system_user import login_user, system_user
from gateway.adapters.witnessed_audit import WitnessedAudit
from gateway.core import sealing
from gateway.core.quota import LimitConfig
from gateway.flow.attributed_audit import AttributedAudit
from gateway.flow.import_trust import TransferIdentity
from gateway.flow.key_admin import KeyAdmin
from gateway.flow.namespace_transfer import NamespaceTransfer
from gateway.flow.namespaces import NamespaceAdmin
from gateway.flow.purge import Purger
from gateway.flow.secret_rotation import RotationKeys, SecretRotation
from gateway.flow.state_guard import StateGuard
from gateway.ports import AuditLog, CacheStore, Clock, Directory, Ledger, NamespaceStore, PurgeStore
from gateway.settings import Settings, master_secret, signing_key
from gateway.wiring.assembly import key_pepper
from gateway.wiring.audit import open_audit
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys, trusted_signers
from gateway.wiring.state_guard import GuardedState, open_state
from gateway.wiring.stores import lazy_clients

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandServices:
    """What the commands read, and the ways to change it."""

    ledger: Ledger
    cache: CacheStore
    purge_store: PurgeStore
    namespace_store: NamespaceStore
    audit: WitnessedAudit
    guard: StateGuard
    clock: Clock
    key_admin: KeyAdmin
    purger: Purger
    namespaces: NamespaceAdmin
    transfer: NamespaceTransfer
    limit_config: LimitConfig
    secret_rotation: SecretRotation
    ran_by: Mapping[str, str]


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[CommandServices]:
    """The services of one command: on the running gateway's stores, or on embedded ones started for the command.

    A store is opened when it is first used: what needs only the state works while the cache hangs.
    """
    master, models = master_secret(settings), settings.models
    async with AsyncExitStack() as stack:
        clock, meter = SystemClock(), PrometheusMeter(__version__)
        state, cache = lazy_clients(settings, stack)
        record = await open_audit(settings, master, state, clock, meter, _not_told)
        ran_by = _ran_by()
        audit = AttributedAudit(record, ran_by)
        held = await open_state(settings, master, state, audit, clock, meter, log.warning)
        cache_store = RedisCache(cache, clock, sealing.derive_key(master, "leases"))
        purge_store = RedisPurges(cache, state, sealing.derive_key(master, "purges"), clock, meter)
        namespace_store = held.namespace_store
        namespaces = NamespaceAdmin(namespace_store, held.guard, audit, clock)
        yield CommandServices(
            ledger=held.ledger,
            cache=cache_store,
            purge_store=purge_store,
            namespace_store=namespace_store,
            audit=record,
            guard=held.guard,
            clock=clock,
            key_admin=_key_admin(held, audit, clock, master, settings),
            purger=Purger(
                purge_store=purge_store,
                cache=cache_store,
                namespace_store=namespace_store,
                audit=audit,
                clock=clock,
                models=models,
            ),
            namespaces=namespaces,
            transfer=_transfer(settings, master, namespaces, namespace_store, audit, clock),
            limit_config=settings.limits.limit_config(),
            ran_by=ran_by,
            secret_rotation=_rotation(settings, master, state, held.directory, namespace_store, audit),
        )


def _key_admin(held: GuardedState, audit: AuditLog, clock: Clock, master: bytes, settings: Settings) -> KeyAdmin:
    return KeyAdmin(
        directory=held.directory,
        decisions=held.guard,
        audit=audit,
        clock=clock,
        key_pepper=key_pepper(master),
        models=settings.models,
    )


def _not_told(_: str) -> None:
    """Heads are for the log of the gateway; what does not fit is said by the command that needs the record."""


def _ran_by() -> Mapping[str, str]:
    """Who runs this command, for its audit records."""
    user, login = system_user(), login_user()
    return {"ran_by": user} if login in (None, user) else {"ran_by": user, "logged_in_as": str(login)}


def _rotation(
    settings: Settings,
    master: bytes,
    state: RedisStore,
    directory: Directory,
    namespace_store: NamespaceStore,
    audit: AuditLog,
) -> SecretRotation:
    clock = SystemClock()
    return SecretRotation(
        records=RedisSealedRecords(state, sealing.derive_key(master, "directory"), clock),
        directory=directory,
        namespace_store=namespace_store,
        audit=audit,
        clock=clock,
        keys=RotationKeys(sealing_keys(master).records, key_pepper(master)),
        cache_config=cache_config(settings, master),
        parse_config=parse_config(settings),
    )


def _transfer(
    settings: Settings,
    master: bytes,
    namespaces: NamespaceAdmin,
    namespace_store: NamespaceStore,
    audit: AuditLog,
    clock: Clock,
) -> NamespaceTransfer:
    return NamespaceTransfer(
        namespace_store=namespace_store,
        namespaces=namespaces,
        audit=audit,
        clock=clock,
        identity=transfer_identity(settings, master),
        cache_config=cache_config(settings, master),
        parse_config=parse_config(settings),
    )


def transfer_identity(settings: Settings, master: bytes) -> TransferIdentity:
    """What this gateway exports as, and whose files it trusts."""
    keys = sealing_keys(master)
    return TransferIdentity(
        __version__, keys.records, keys.receipts, partial(signing_key, settings), trusted_signers(settings)
    )
