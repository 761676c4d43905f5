"""The parts that the commands use, without a flow and without a listener."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway import __version__
from gateway.adapters.clock import SystemClock
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.redis_archive import RedisArchive
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_directory import RedisDirectory
from gateway.adapters.redis_ledger import RedisLedger
from gateway.adapters.redis_purges import RedisPurges
from gateway.core import envelope
from gateway.core.quota import LimitBook
from gateway.flow.administer import Administer
from gateway.ports import Archive, AuditLog, CacheStore, Clock, Directory, Ledger, Purges
from gateway.settings import Settings, master_secret
from gateway.wiring.assembly import pepper
from gateway.wiring.stores import clients, open_audit, with_stores


@dataclass(frozen=True, slots=True)
class Parts:
    """What the commands need: the stores, the record, and the ways to change them."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purges: Purges
    archive: Archive
    audit: AuditLog
    heads: RedisAuditHead
    clock: Clock
    administer: Administer
    book: LimitBook


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """The parts of a command: on the running gateway's stores, or on embedded ones opened for as long as it takes."""
    master = master_secret(settings)
    async with AsyncExitStack() as stack:
        settings = await with_stores(settings, stack)
        clock, meter = SystemClock(), PrometheusMeter(__version__)
        state, cache = await clients(settings, stack)
        sealing = envelope.derive(master, "directory")
        directory = RedisDirectory(state, sealing, clock, meter)
        cache_store, purges = RedisCache(cache, clock), RedisPurges(cache)
        archive = RedisArchive(state, sealing, clock, meter, settings.cache.namespace_max_bytes)
        head = RedisAuditHead(state, sealing, clock, meter)
        audit = await open_audit(settings, master, head, clock)
        administer = Administer(
            directory=directory,
            purges=purges,
            audit=audit,
            clock=clock,
            pepper=pepper(master),
            models=settings.models,
        )
        ledger, book = RedisLedger(state), settings.limits.book()
        yield Parts(directory, ledger, cache_store, purges, archive, audit, head, clock, administer, book)
