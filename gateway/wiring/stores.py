"""Clients of the two stores, and the audit record of this machine, as the settings name them."""

import platform
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from gateway.adapters.audit_file import FileAudit, read_lines
from gateway.adapters.embedded_store import READY_S, EmbeddedStoreError, Role, open_store
from gateway.adapters.lazy_store import LazyStore
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_preflight import UnsuitableStore, check_cache_store, check_state_store
from gateway.core import sealing
from gateway.core.audit import BrokenLink, ChainHead, verify
from gateway.ports import Clock, StoreUnavailable
from gateway.settings import Settings, master_secret, read_secret
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
                return await _client(await _with_store_url(settings, role, stack), role, stack)
            except EmbeddedStoreError as error:
                if role == "cache":
                    raise StoreUnavailable(str(error)) from None
                raise SetupError(f"{error}.") from None

        return LazyStore(opened, timeout_s)

    return lazy("state", settings.stores.state_timeout_s), lazy("cache", settings.stores.cache_timeout_s)


async def clients(settings: Settings, stack: AsyncExitStack) -> tuple[RedisStore, RedisStore]:
    """Of the state store and of the cache store; they connect on first use."""
    return await _client(settings, "state", stack), await _client(settings, "cache", stack)


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


async def _client(settings: Settings, role: Role, stack: AsyncExitStack) -> RedisStore:
    stores = settings.stores
    url, timeout_s, password_file = {
        "state": (stores.state_url, stores.state_timeout_s, stores.state_password_file),
        "cache": (stores.cache_url, stores.cache_timeout_s, stores.cache_password_file),
    }[role]
    password = None if password_file is None else read_secret(password_file).decode()
    client = connect(url or "", timeout_s=timeout_s, name=f"esm-gateway-{role}", password=password)
    stack.push_async_callback(client.close)
    return client


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


async def open_audit(settings: Settings, master: bytes, heads: RedisAuditHead, clock: Clock) -> FileAudit:
    """The audit record of this machine. Its head is also put into the state store, which reveals a truncated file."""
    chain = chain_name(settings)

    async def store_head(head: ChainHead) -> None:
        # The record is durable already; a stored head that is some records behind only weakens the check.
        with suppress(StoreUnavailable):
            await heads.put(chain, head)

    audit = FileAudit(settings.audit_file, _audit_secret(master), clock, on_append=store_head)
    with suppress(StoreUnavailable):
        audit.expect(await heads.get(chain) or ChainHead())
    return audit


def read_audit(path: Path) -> Iterator[bytes]:
    """The lines of an audit file; one that does not exist yet has none."""
    return read_lines(path) if path.exists() else iter(())


def verify_audit(settings: Settings, path: Path, head: ChainHead | None) -> ChainHead | BrokenLink:
    """The head of an intact chain, which must contain `head` where that is known; else the first broken link."""
    return verify(_audit_secret(master_secret(settings)), read_audit(path), head)


def chain_name(settings: Settings) -> str:
    """Each machine has a chain of its own, even where several name the same file."""
    return f"{platform.node()}:{settings.audit_file}"


def _audit_secret(master: bytes) -> bytes:
    """The secret under which the records of the chain are linked."""
    return sealing.derive_key(master, "audit-chain")
