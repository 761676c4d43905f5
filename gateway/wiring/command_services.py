"""What the commands use: the stores, the audit record and the administration, without request flow or HTTP server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway import __version__
from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_namespaces import RedisNamespaces
from gateway.adapters.redis_purges import RedisPurges
from gateway.core import sealing
from gateway.core.quota import LimitConfig
from gateway.flow.key_admin import KeyAdmin
from gateway.flow.namespace_transfer import NamespaceTransfer
from gateway.flow.namespaces import NamespaceAdmin
from gateway.flow.purge import Purger
from gateway.ports import AuditLog, CacheStore, Clock, Ledger, NamespaceStore, PurgeStore
from gateway.settings import Settings, master_secret
from gateway.wiring.assembly import key_pepper
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from gateway.wiring.stores import clients, open_audit, with_store_urls


@dataclass(frozen=True, slots=True)
class CommandServices:
    """What the commands read, and the ways to change it."""

    ledger: Ledger
    cache: CacheStore
    purge_store: PurgeStore
    namespace_store: NamespaceStore
    audit_heads: RedisAuditHead
    clock: Clock
    key_admin: KeyAdmin
    purger: Purger
    namespaces: NamespaceAdmin
    transfer: NamespaceTransfer
    limit_config: LimitConfig


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[CommandServices]:
    """The services of one command: on the running gateway's stores, or on embedded ones started for the command."""
    master, models = master_secret(settings), settings.models
    async with AsyncExitStack() as stack:
        settings = await with_store_urls(settings, stack)
        clock, meter = SystemClock(), PrometheusMeter(__version__)
        state, cache = await clients(settings, stack)
        sealing_key = sealing.derive_key(master, "directory")
        audit_heads = RedisAuditHead(state, sealing_key, clock, meter)
        audit = await open_audit(settings, master, audit_heads, clock)
        directory = RedisDirectory(state, sealing_key, clock, meter)
        cache_store = RedisCache(cache, clock, sealing.derive_key(master, "leases"))
        purge_store = RedisPurges(cache, state, sealing.derive_key(master, "purges"), clock, meter)
        namespace_store = RedisNamespaces(state, sealing_key, clock, meter, settings.cache.namespace_max_bytes)
        namespaces = NamespaceAdmin(namespace_store, audit, clock)
        yield CommandServices(
            ledger=RedisLedger(state),
            cache=cache_store,
            purge_store=purge_store,
            namespace_store=namespace_store,
            audit_heads=audit_heads,
            clock=clock,
            key_admin=KeyAdmin(
                directory=directory, audit=audit, clock=clock, key_pepper=key_pepper(master), models=models
            ),
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
        key=sealing_keys(master).records,
        cache_config=cache_config(settings, master),
        parse_config=parse_config(settings),
        version=__version__,
    )
