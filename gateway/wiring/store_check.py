"""What `stores check` finds: each store as the gateway would use it, by its own client."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.redis_probe import RedisProbe
from gateway.core.store_faults import STORE_NAMES, StoreFault, StoreName
from gateway.ports import StoreUnavailable
from gateway.settings import Settings
from gateway.wiring.service import check_store_urls
from gateway.wiring.stores import client, with_store_urls, words_of


@dataclass(frozen=True, slots=True)
class StoreReport:
    """Why a store cannot be used (None: it can), in words, and warnings."""

    store: StoreName
    fault: StoreFault | None
    words: str
    warnings: tuple[str, ...] = ()


async def check_stores(settings: Settings) -> list[StoreReport]:
    """Both stores, whatever is wrong with the other."""
    check_store_urls(settings)
    async with AsyncExitStack() as stack:
        settings = await with_store_urls(settings, stack)
        return [await _checked(await client(settings, role, stack), role) for role in STORE_NAMES]


async def _checked(store: RedisStore, role: StoreName) -> StoreReport:
    probe = RedisProbe(store, role)
    warnings: tuple[str, ...] = ()
    try:
        warnings = tuple(await probe.check())
        await probe.try_change()
        if role == "cache":
            await probe.try_subscribing()
    except StoreUnavailable as lost:
        return StoreReport(role, lost.fault, words_of(lost), warnings)
    (node, *_) = await store.info()
    name = "valkey" if "valkey_version" in node else "redis"
    return StoreReport(role, None, f"{name.capitalize()} {node.get(f'{name}_version')}, with every right", warnings)
