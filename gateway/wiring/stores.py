"""Clients of the two stores and of the audit chain, as the settings name them."""

import platform
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from gateway.adapters.audit_file import FileAudit
from gateway.adapters.embedded_store import EmbeddedStoreError, Role, open_store
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_preflight import UnsuitableStore, check_cache_store, check_state_store
from gateway.core import sealing
from gateway.core.audit import ChainHead
from gateway.ports import Clock, StoreUnavailable
from gateway.settings import Settings, read_secret
from gateway.wiring.trouble import SetupError


async def with_store_urls(settings: Settings, stack: AsyncExitStack) -> Settings:
    """The settings with both URLs; embedded stores are opened where one is missing, and left again at the end."""
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
    stores = settings.stores
    pairs = (
        ("state", stores.state_url, stores.state_timeout_s, stores.state_password_file),
        ("cache", stores.cache_url, stores.cache_timeout_s, stores.cache_password_file),
    )
    opened: list[RedisStore] = []
    for name, url, timeout_s, password_file in pairs:
        password = None if password_file is None else read_secret(password_file).decode()
        client = connect(url or "", timeout_s=timeout_s, name=f"esm-gateway-{name}", password=password)
        stack.push_async_callback(client.close)
        opened.append(client)
    return opened[0], opened[1]


async def preflight_stores(settings: Settings, say: Callable[[str], None]) -> None:
    """Refuse a store that would forget what was spent or revoked; one that is away for now is only mentioned."""
    async with AsyncExitStack() as stack:
        state, cache = await clients(settings, stack)
        for name, store, check in (("state", state, check_state_store), ("cache", cache, check_cache_store)):
            try:
                for warning in await check(store):
                    say(warning)
            except UnsuitableStore as unfit:
                raise SetupError(f"{unfit}.") from None
            except StoreUnavailable:
                say(f"the {name} store does not answer yet")


async def open_audit(settings: Settings, master: bytes, heads: RedisAuditHead, clock: Clock) -> FileAudit:
    """The chain of this machine. Its head is also kept in the state store, so that a cut-off end is noticed."""
    chain = chain_name(settings)

    async def witness(at: ChainHead) -> None:
        # The record is durable already; a head that is late by some records costs only part of that check.
        with suppress(StoreUnavailable):
            await heads.put(chain, at)

    audit = FileAudit(settings.audit_file, audit_secret(master), clock, witness=witness)
    with suppress(StoreUnavailable):
        audit.expect(await heads.get(chain) or ChainHead())
    return audit


def audit_secret(master: bytes) -> bytes:
    """The secret under which the records of the chain are linked."""
    return sealing.derive_key(master, "audit-chain")


def chain_name(settings: Settings) -> str:
    """Each machine keeps a chain of its own, also where all of them name the same file."""
    return f"{platform.node()}:{settings.audit_file}"
