"""Clients of the two stores, as the settings name them."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.adapters.embedded_store import EmbeddedStoreError, Role, open_store
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_probe import RedisProbe
from gateway.core.store_faults import FAULT_WORDS, STORE_NAMES, StoreName
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
    return await client(settings, "state", stack), await client(settings, "cache", stack)


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
