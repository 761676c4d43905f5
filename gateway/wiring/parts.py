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
from gateway.flow.carry import Carrier
from gateway.flow.curate import Curator
from gateway.flow.invalidate import Invalidate
from gateway.ports import Archive, AuditLog, CacheStore, Clock, Directory, Ledger, Purges
from gateway.settings import Settings, master_secret
from gateway.wiring.assembly import pepper
from gateway.wiring.cache_terms import cache_keys, parsing_rules, scheme
from gateway.wiring.stores import clients, open_audit, with_stores


@dataclass(frozen=True, slots=True)
class Stores:
    """What lies in the two stores."""

    directory: Directory
    ledger: Ledger
    cache: CacheStore
    purges: Purges
    archive: Archive


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
    invalidate: Invalidate
    curator: Curator
    carrier: Carrier
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
        head = RedisAuditHead(state, sealing, clock, meter)
        stores = Stores(
            RedisDirectory(state, sealing, clock, meter),
            RedisLedger(state),
            RedisCache(cache, clock),
            RedisPurges(cache),
            RedisArchive(state, sealing, clock, meter, settings.cache.namespace_max_bytes),
        )
        audit = await open_audit(settings, master, head, clock)
        yield _parts(settings, master, stores, audit, head, clock)


def _parts(
    settings: Settings, master: bytes, stores: Stores, audit: AuditLog, heads: RedisAuditHead, clock: Clock
) -> Parts:
    s, models = stores, settings.models
    curator = Curator(s.archive, audit, clock)
    carrier = Carrier(
        archive=s.archive,
        curator=curator,
        audit=audit,
        clock=clock,
        key=cache_keys(master).records,
        scheme=scheme(settings, master),
        rules=parsing_rules(settings),
        version=__version__,
    )
    return Parts(
        directory=s.directory,
        ledger=s.ledger,
        cache=s.cache,
        purges=s.purges,
        archive=s.archive,
        audit=audit,
        heads=heads,
        clock=clock,
        administer=Administer(directory=s.directory, audit=audit, clock=clock, pepper=pepper(master), models=models),
        invalidate=Invalidate(
            purges=s.purges, cache=s.cache, archive=s.archive, audit=audit, clock=clock, models=models
        ),
        curator=curator,
        carrier=carrier,
        book=settings.limits.book(),
    )
