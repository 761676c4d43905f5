"""Clients of the two stores, as the settings name them."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.adapters.embedded_store import READY_S, EmbeddedStoreError, Role, open_store
from gateway.adapters.lazy_store import LazyStore
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_probe import RedisProbe
from gateway.core.store_faults import FAULT_WORDS, STORE_NAMES, StoreName
from gateway.ports import StoreUnavailable
from gateway.settings import Settings, read_secret
from gateway.wiring import SetupError

CACHE_READY_S = 10.0
"""How long a command waits for an embedded cache server that does not answer."""


def lazy_clients(settings: Settings, stack: AsyncExitStack) -> tuple[RedisStore, RedisStore]:
    """Of the state store and of the cache store, each opened when a command first uses it, until the stack is closed.

    Where a URL is missing, that opens the embedded store. One that cannot be opened is a SetupError; the cache, which
    may be lost at any time, is StoreUnavailable, and is not waited for as long.
    """

    def lazy(role: Role, timeout_s: float) -> RedisStore:
        async def opened() -> RedisStore:
            try:
                return await client(await _with_store_url(settings, role, stack), role, stack)
            except EmbeddedStoreError as error:
                if role == "cache":
                    raise StoreUnavailable(str(error)) from None
                raise SetupError(f"{error}.") from None

        return LazyStore(opened, timeout_s)

    return lazy("state", settings.stores.state_timeout_s), lazy("cache", settings.stores.cache_timeout_s)


async def clients(settings: Settings, stack: AsyncExitStack) -> tuple[RedisStore, RedisStore]:
    """Of the state store and of the cache store; they connect on first use."""
    return await client(settings, "state", stack), await client(settings, "cache", stack)


async def with_store_urls(settings: Settings, stack: AsyncExitStack) -> Settings:
    """The settings with both URLs. Where one is missing, an embedded store is opened until the stack is closed."""
    try:
        return await _with_store_url(await _with_store_url(settings, "state", stack), "cache", stack)
    except EmbeddedStoreError as error:
        raise SetupError(f"{error}.") from None


async def _with_store_url(settings: Settings, role: Role, stack: AsyncExitStack) -> Settings:
    """The settings with this store's URL; where it is missing, that of an embedded store, open as long as the stack."""
    if getattr(settings.stores, f"{role}_url") is not None:
        return settings
    megabytes, ready_s = (settings.stores.cache_mb, CACHE_READY_S) if role == "cache" else (0, READY_S)
    store = await open_store(settings.data_dir, role, maxmemory_mb=megabytes, ready_s=ready_s)
    stack.push_async_callback(store.stop)
    urls = {f"{role}_url": store.url}
    return settings.model_copy(update={"stores": settings.stores.model_copy(update=urls)})


async def client(settings: Settings, role: StoreName, stack: AsyncExitStack) -> RedisStore:
    """Of one store; each server is checked for this use when it is connected to."""
    stores = settings.stores
    state = role == "state"
    opened = connect(
        (stores.state_url if state else stores.cache_url) or "",
        timeout_s=stores.state_timeout_s if state else stores.cache_timeout_s,
        name=f"esm-gateway-{role}",
        role=role,
        password=_secret(stores.state_password_file if state else stores.cache_password_file),
        sentinel_password=_secret(
            stores.state_sentinel_password_file if state else stores.cache_sentinel_password_file
        ),
    )
    stack.push_async_callback(opened.close)
    return opened


def _secret(file: Path | None) -> str | None:
    return None if file is None else read_secret(file).decode()


async def preflight_stores(settings: Settings, report: Callable[[str], None]) -> None:
    """Raises SetupError for an unsuitable store. Warnings, and why a store cannot be used yet, are only reported."""
    async with AsyncExitStack() as stack:
        for role in STORE_NAMES:
            probe = RedisProbe(await client(settings, role, stack), role)
            try:
                for warning in await probe.check():
                    report(warning)
                await probe.try_change()
            except StoreUnavailable as lost:
                if lost.fault == "unsuitable":
                    raise SetupError(f"{lost.detail}.") from None
                report(f"the {role} store cannot be used yet ({lost.fault}): {words_of(lost)}")


def words_of(lost: StoreUnavailable) -> str:
    """Why a store cannot be used, for the operator."""
    return lost.detail or FAULT_WORDS[lost.fault]
