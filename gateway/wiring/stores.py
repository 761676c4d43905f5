"""Clients of the two stores, as the settings name them."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from gateway.adapters.embedded_store import EmbeddedStoreError, Role, open_store
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_preflight import UnsuitableStore, check_cache_store, check_state_store
from gateway.ports import StoreUnavailable
from gateway.settings import Settings, read_secret
from gateway.wiring import SetupError


async def with_store_urls(settings: Settings, stack: AsyncExitStack) -> Settings:
    """The settings with both URLs. Where one is missing, an embedded store is opened until the stack is closed."""
    urls = {"state_url": settings.stores.state_url, "cache_url": settings.stores.cache_url}
    roles: tuple[Role, Role] = ("state", "cache")
    for role in roles:
        if urls[f"{role}_url"] is None:
            megabytes = settings.stores.cache_mb if role == "cache" else 0
            try:
                store = await open_store(settings.data_dir, role, maxmemory_mb=megabytes)
            except EmbeddedStoreError as error:
                raise SetupError(str(error)) from None
            stack.push_async_callback(store.stop)
            urls[f"{role}_url"] = store.url
    return settings.model_copy(update={"stores": settings.stores.model_copy(update=urls)})


async def clients(settings: Settings, stack: AsyncExitStack) -> tuple[RedisStore, RedisStore]:
    """Of the state store and of the cache store; they connect on first use."""
    stores = settings.stores
    rows = (
        ("state", stores.state_url, stores.state_timeout_s, stores.state_password_file),
        ("cache", stores.cache_url, stores.cache_timeout_s, stores.cache_password_file),
    )
    opened: list[RedisStore] = []
    for name, url, timeout_s, password_file in rows:
        password = None if password_file is None else read_secret(password_file).decode()
        client = connect(url or "", timeout_s=timeout_s, name=f"esm-gateway-{name}", password=password)
        stack.push_async_callback(client.close)
        opened.append(client)
    return opened[0], opened[1]


async def preflight_stores(settings: Settings, report: Callable[[str], None]) -> None:
    """Raises SetupError for an unsuitable store. Warnings, and a store that does not answer yet, are only reported."""
    async with AsyncExitStack() as stack:
        state, cache = await clients(settings, stack)
        for name, store, check in (("state", state, check_state_store), ("cache", cache, check_cache_store)):
            try:
                for warning in await check(store):
                    report(warning)
            except UnsuitableStore as error:
                raise SetupError(f"{error}.") from None
            except StoreUnavailable:
                report(f"the {name} store does not answer yet")
