"""A whole gateway on one machine, from settings to its end: its stores, its sockets, its metrics page, its workers.

The process that runs this serves no calls itself. Whatever it started ends before it does, in reverse order; should
it be killed, workers end by themselves, and the stores live on until the next start adopts them. Nothing here speaks
to people: what is to be said goes to the plan's `say`, and what keeps a gateway from serving is one exception.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.adapters import sockets
from gateway.adapters.data_dir_lock import DataDirLock, DataDirLocked
from gateway.adapters.embedded_store import EmbeddedStore, EmbeddedStoreError, Role, open_store
from gateway.adapters.metrics_listener import MetricsListener
from gateway.adapters.prometheus import clear_slots, render_slots
from gateway.adapters.redis_url import parse_address
from gateway.adapters.sockets import ListenError, close_all, open_sockets, url_of
from gateway.adapters.supervisor import Command, ManagedServer, Say, StartFailed, Supervisor
from gateway.settings import Settings, master_secret
from gateway.wiring.stores import preflight_stores
from gateway.wiring.trouble import SetupError

T = TypeVar("T")
BeforeWorkers = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServedAt:
    """Where a gateway that is ready is reached."""

    url: str
    metrics_url: str


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What to do around the serving. `worker` is the command line of a worker; `say` tells the operator what happens;
    `prepare` runs when the stores are there and no worker is yet; `servers` are watched beside the stores."""

    worker: Command
    say: Say
    announce: Callable[[ServedAt], None]
    prepare: BeforeWorkers | None = None
    servers: Sequence[ManagedServer] = ()
    stdout: int | None = None


@asynccontextmanager
async def lock_data_dir(directory: Path) -> AsyncIterator[DataDirLock]:
    """The data directory as ours alone. A signal that comes before the workers are there undoes what was begun."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        place = DataDirLock(directory)
        try:
            yield place
        finally:
            place.leave()
    except (DataDirLocked, ListenError, EmbeddedStoreError, StartFailed) as error:
        raise SetupError(str(error)) from None


async def serve_until_stopped(settings: Settings, plan: ServiceOptions, place: DataDirLock) -> int:
    """Serve until a signal. Answers the exit status."""
    async with AsyncExitStack() as stack:
        return await _serve(settings, plan, place, stack)


async def _serve(settings: Settings, plan: ServiceOptions, place: DataDirLock, stack: AsyncExitStack) -> int:
    listen = settings.listen
    check_store_urls(settings)
    master_secret(settings)
    clear_slots(settings.metrics_dir)
    sockets = await open_sockets(listen.host, listen.port, listen.workers)
    stack.callback(close_all, sockets)
    metrics_port = await _open_metrics(settings, stack)
    stores = await _open_stores(settings, stack)
    settings = _with_urls(settings, stores)
    await preflight_stores(settings, plan.say)
    if plan.prepare is not None:
        await plan.prepare(settings)
    brief = settings.model_dump_json(exclude_unset=True).encode()
    servers = [*stores, *plan.servers]
    supervisor = Supervisor(plan.worker, brief, sockets, servers, listen.drain_s, plan.say, plan.stdout)
    serving = ServedAt(
        url_of(listen.host, sockets[0].getsockname()[1]), url_of(listen.metrics_host, metrics_port) + "/metrics"
    )

    def on_ready() -> None:
        place.say(serving.url)
        plan.announce(serving)

    return await supervisor.run(on_ready)


def check_store_urls(settings: Settings) -> None:
    """Store addresses that only their client can judge."""
    for name, url in (("state_url", settings.stores.state_url), ("cache_url", settings.stores.cache_url)):
        try:
            if url is not None:
                parse_address(url)
        except ValueError as error:
            raise SetupError(f"stores.{name}: {error}") from None


async def free_port(host: str, wanted: int) -> int:
    """The wanted port if nobody listens there, else any free one."""
    return await sockets.free_port(host, wanted)


async def _open_metrics(settings: Settings, stack: AsyncExitStack) -> int:
    (listener,) = await open_sockets(settings.listen.metrics_host, settings.listen.metrics_port, 1)
    stack.callback(listener.close)
    page = MetricsListener(partial(render_slots, settings.metrics_dir))
    stack.push_async_callback(page.close)
    await page.open(listener)
    port: int = listener.getsockname()[1]
    return port


async def _open_stores(settings: Settings, stack: AsyncExitStack) -> list[EmbeddedStore]:
    """Our own servers, for each store without a URL; side by side, as each takes a moment."""

    async def opened(role: Role, megabytes: int, directory: Path) -> EmbeddedStore:
        store = await open_store(directory, role, maxmemory_mb=megabytes)
        stack.push_async_callback(store.stop)
        return store

    wanted: list[tuple[Role, int]] = []
    if settings.stores.state_url is None:
        wanted.append(("state", 0))
    if settings.stores.cache_url is None:
        wanted.append(("cache", settings.stores.cache_mb))
    opening = (opened(role, size, settings.data_dir) for role, size in wanted)
    stores: list[EmbeddedStore] = []
    for store in await _to_its_end(asyncio.gather(*opening, return_exceptions=True)):
        if isinstance(store, BaseException):
            raise store
        stores.append(store)
    return stores


async def _to_its_end(work: "asyncio.Future[T]") -> T:
    """Work that a signal must not leave half done: a server that was just started would be nobody's to stop."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _with_urls(settings: Settings, stores: Sequence[EmbeddedStore]) -> Settings:
    urls = {f"{store.role}_url": store.url for store in stores}
    return settings.model_copy(update={"stores": settings.stores.model_copy(update=urls)})
