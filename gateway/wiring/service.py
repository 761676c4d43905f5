"""A whole gateway on one machine, from start to stop: its embedded stores, sockets, metrics page and workers.

The process that runs this answers no requests itself. Whatever it started ends before it does, in reverse order. If it
is killed, the workers exit by themselves, and the stores run on until the next start adopts them. Messages for the
operator go to `ServiceOptions.report`; whatever prevents serving is a SetupError.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway import __version__
from gateway.adapters import sockets
from gateway.adapters.clock import SystemClock
from gateway.adapters.data_dir_lock import DataDirLock, DataDirLocked
from gateway.adapters.descriptors import raise_soft_limit
from gateway.adapters.embedded_store import EmbeddedStore, EmbeddedStoreError, Role, open_store
from gateway.adapters.managed_servers import ManagedServer, Report
from gateway.adapters.metrics_listener import MetricsListener
from gateway.adapters.prometheus import PrometheusMeter, clear_slots, render_slots
from gateway.adapters.redis_url import parse_address
from gateway.adapters.sockets import ListenError, close_all, open_sockets, url_of
from gateway.adapters.supervisor import StartFailed, Supervisor
from gateway.adapters.worker_slot import Command, WorkerLaunch
from gateway.settings import Settings, master_secret
from gateway.wiring import SetupError
from gateway.wiring.known_labels import known_labels
from gateway.wiring.state_guard import remember_records
from gateway.wiring.stores import preflight_stores

T = TypeVar("T")
BeforeWorkers = Callable[[Settings], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServedAt:
    """The addresses of a gateway that is ready."""

    url: str
    metrics_url: str


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How to serve. `worker` makes the command line of a worker; `report` takes messages for the operator; `prepare`
    runs when the stores are up and no worker is yet; `servers` are supervised like the stores."""

    worker: Command
    report: Report
    announce: Callable[[ServedAt], None]
    prepare: BeforeWorkers | None = None
    servers: Sequence[ManagedServer] = ()
    stdout: int | None = None


@asynccontextmanager
async def lock_data_dir(directory: Path) -> AsyncIterator[DataDirLock]:
    """Hold the data directory's lock. Until the workers run, SIGTERM or SIGINT cancels the start and undoes it."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        lock = DataDirLock(directory)
        try:
            yield lock
        finally:
            lock.release()
    except (DataDirLocked, ListenError, EmbeddedStoreError, StartFailed) as error:
        raise SetupError(str(error)) from None


async def serve_until_stopped(settings: Settings, options: ServiceOptions, lock: DataDirLock) -> int:
    """Serve until a signal; returns the exit status."""
    async with AsyncExitStack() as stack:
        return await _serve(settings, options, lock, stack)


async def _serve(settings: Settings, options: ServiceOptions, lock: DataDirLock, stack: AsyncExitStack) -> int:
    listen = settings.listen
    raise_soft_limit()
    check_store_urls(settings)
    master_secret(settings)
    clear_slots(settings.metrics_dir)
    sockets = await open_sockets(listen.host, listen.port, listen.workers)
    stack.callback(close_all, sockets)
    metrics_port = await _open_metrics(settings, stack)
    stores = await _open_stores(settings, stack)
    settings = _with_urls(settings, stores)
    await preflight_stores(settings, options.report)
    await asyncio.to_thread(remember_records, settings, master_secret(settings), SystemClock())
    if options.prepare is not None:
        await options.prepare(settings)
    launch = WorkerLaunch(options.worker, settings.model_dump_json(exclude_unset=True).encode(), options.stdout)
    # The slots below this number are the workers'; this meter alone creates the series that depend on settings.
    meter = PrometheusMeter(__version__, settings.metrics_dir, listen.workers, known_labels(settings))
    stack.callback(meter.close)
    servers = [*stores, *options.servers]
    supervisor = Supervisor(launch, sockets, servers, listen.lame_duck_s + listen.drain_s, options.report, meter)
    served_at = ServedAt(
        url_of(listen.host, sockets[0].getsockname()[1]), url_of(listen.metrics_host, metrics_port) + "/metrics"
    )

    def on_ready() -> None:
        lock.publish_url(served_at.url)
        options.announce(served_at)

    return await supervisor.run(on_ready)


def check_store_urls(settings: Settings) -> None:
    """Raises SetupError for a store's URL that the client cannot parse."""
    for name, url in (("state_url", settings.stores.state_url), ("cache_url", settings.stores.cache_url)):
        try:
            if url is not None:
                parse_address(url)
        except ValueError as error:
            raise SetupError(f"stores.{name}: {error}") from None


async def free_port(host: str, preferred: int) -> int:
    """The preferred port where it is free, else any free one."""
    return await sockets.free_port(host, preferred)


async def _open_metrics(settings: Settings, stack: AsyncExitStack) -> int:
    (listener,) = await open_sockets(settings.listen.metrics_host, settings.listen.metrics_port, 1)
    stack.callback(listener.close)
    page = MetricsListener(partial(render_slots, settings.metrics_dir))
    stack.push_async_callback(page.close)
    await page.open(listener)
    port: int = listener.getsockname()[1]
    return port


async def _open_stores(settings: Settings, stack: AsyncExitStack) -> list[EmbeddedStore]:
    """An embedded server for each store without a URL; started concurrently, as each takes a moment."""

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
    for store in await _run_to_completion(asyncio.gather(*opening, return_exceptions=True)):
        if isinstance(store, BaseException):
            raise store
        stores.append(store)
    return stores


async def _run_to_completion(work: "asyncio.Future[T]") -> T:
    """Await work that a signal must not interrupt: a server that was just started would be left without an owner."""
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _with_urls(settings: Settings, stores: Sequence[EmbeddedStore]) -> Settings:
    urls = {f"{store.role}_url": store.url for store in stores}
    return settings.model_copy(update={"stores": settings.stores.model_copy(update=urls)})
