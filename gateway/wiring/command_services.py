"""The parts that the commands use, without a flow and without a listener."""

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
from gateway.ports import AuditLog, CacheStore, Clock, Directory, Ledger, NamespaceStore, PurgeStore
from gateway.settings import Settings, master_secret
from gateway.wiring.assembly import key_pepper
from gateway.wiring.cache_config import cache_config, parse_config, sealing_keys
from gateway.wiring.stores import clients, open_audit, with_store_urls


@dataclass(frozen=True, slots=True)
class StorePorts:
    """What lies in the two stores."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purge_store: PurgeStore
    namespace_store: NamespaceStore


@dataclass(frozen=True, slots=True)
class CommandServices:
    """What the commands need: the stores, the record, and the ways to change them."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purge_store: PurgeStore
    namespace_store: NamespaceStore
    audit: AuditLog
    heads: RedisAuditHead
    clock: Clock
    key_admin: KeyAdmin
    purger: Purger
    namespaces: NamespaceAdmin
    transfer: NamespaceTransfer
    limit_config: LimitConfig


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[CommandServices]:
    """The parts of a command: on the running gateway's stores, or on embedded ones opened for as long as it takes."""
    master = master_secret(settings)
    async with AsyncExitStack() as stack:
        settings = await with_store_urls(settings, stack)
        clock, meter = SystemClock(), PrometheusMeter(__version__)
        state, cache = await clients(settings, stack)
        sealing_key = sealing.derive_key(master, "directory")
        head = RedisAuditHead(state, sealing_key, clock, meter)
        stores = StorePorts(
            RedisDirectory(state, sealing_key, clock, meter),
            RedisLedger(state),
            RedisCache(cache, clock),
            RedisPurges(cache),
            RedisNamespaces(state, sealing_key, clock, meter, settings.cache.namespace_max_bytes),
        )
        audit = await open_audit(settings, master, head, clock)
        yield _parts(settings, master, stores, audit, head, clock)


def _parts(
    settings: Settings, master: bytes, stores: StorePorts, audit: AuditLog, heads: RedisAuditHead, clock: Clock
) -> CommandServices:
    s, models = stores, settings.models
    namespaces = NamespaceAdmin(s.namespace_store, audit, clock)
    transfer = NamespaceTransfer(
        namespace_store=s.namespace_store,
        namespaces=namespaces,
        audit=audit,
        clock=clock,
        key=sealing_keys(master).records,
        cache_config=cache_config(settings, master),
        parse_config=parse_config(settings),
        version=__version__,
    )
    return CommandServices(
        directory=s.directory,
        ledger=s.ledger,
        cache=s.cache,
        purge_store=s.purge_store,
        namespace_store=s.namespace_store,
        audit=audit,
        heads=heads,
        clock=clock,
        key_admin=KeyAdmin(
            directory=s.directory, audit=audit, clock=clock, key_pepper=key_pepper(master), models=models
        ),
        purger=Purger(
            purge_store=s.purge_store,
            cache=s.cache,
            namespace_store=s.namespace_store,
            audit=audit,
            clock=clock,
            models=models,
        ),
        namespaces=namespaces,
        transfer=transfer,
        limit_config=settings.limits.limit_config(),
    )
