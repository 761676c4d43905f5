"""Clients of the two stores, and the audit record of this machine, as the settings name them."""

import platform
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from gateway.adapters.audit_file import FileAudit, read_lines
from gateway.adapters.embedded_store import EmbeddedStoreError, Role, open_store
from gateway.adapters.redis_audit_head import RedisAuditHead
from gateway.adapters.redis_connect import RedisStore, connect
from gateway.adapters.redis_probe import RedisProbe
from gateway.core import sealing
from gateway.core.audit import BrokenLink, ChainHead, verify
from gateway.core.store_faults import FAULT_WORDS, STORE_NAMES, StoreName
from gateway.ports import Clock, StoreUnavailable
from gateway.settings import Settings, master_secret, read_secret
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
