"""One worker: the flow on real stores, behind a listening socket, until it is told to stop."""

import asyncio
import gc
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

from aiohttp import web

from gateway import __version__
from gateway.adapters.access_log import NoAccessLog, StreamAccessLog
from gateway.adapters.clock import SystemClock
from gateway.adapters.descriptors import left_for_callers, none_left, raise_soft_limit
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.reader_process import Command as ReaderCommand
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_purges import PATIENT_DEADLINES, RedisPurges
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.adapters.upstream_http import HttpUpstream
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.runtime import BackgroundLoops, BackgroundTasks, Runtime
from gateway.ports import Clock, Meter, StoreUnavailable
from gateway.settings import Settings, master_secret, read_secret
from gateway.web.connections import ConnectionTable
from gateway.web.gateway_api import GatewayApi
from gateway.web.health import pages
from gateway.web.proxy import Proxy
from gateway.web.server import Server
from gateway.wiring.assembly import Adapters, Flow, assemble
from gateway.wiring.audit import open_audit
from gateway.wiring.reader import reader_process
from gateway.wiring.state_guard import open_state
from gateway.wiring.stores import clients

log = logging.getLogger(__name__)
BACKLOG = 1024
ACCEPTED_AT_ONCE = 8
ROOM_CHECK_S = 1.0
# For stores, audit, logs and listeners, and for callers who were accepted and are not counted yet.
OWN_DESCRIPTORS = 64
POLL_MARGIN_S = 3.0
# Objects that may be there more than at the last collection; a large body is about 10,000.
COLLECT_AFTER = 100_000


async def run_worker(
    settings: Settings,
    slot: int,
    sockets: list[socket.socket],
    on_ready: Callable[[], None],
    stop: asyncio.Event,
    reader_command: ReaderCommand,
) -> None:
    """One worker, from start to drained: serves on these sockets until `stop`. The stores' URLs must be set."""
    raise_soft_limit()
    master = master_secret(settings)
    tasks, clock = BackgroundTasks(log.error), SystemClock()
    async with AsyncExitStack() as stack:
        meter = PrometheusMeter(__version__, settings.metrics_dir, slot)
        stack.callback(meter.close)
        state, cache = await clients(settings, stack)
        upstream = _upstream(settings, stack)
        reader = reader_process(reader_command, settings, meter, log.warning)
        stack.push_async_callback(reader.close)
        access_log = StreamAccessLog(1) if settings.log.access else NoAccessLog()
        stack.callback(access_log.close)
        audit = await open_audit(settings, master, state, clock, meter, log.warning)
        held = await open_state(settings, master, state, audit, clock, meter, log.warning)
        adapters = Adapters(
            directory=held.directory,
            ledger=held.ledger,
            cache=RedisCache(cache, clock),
            purge_store=RedisPurges(cache),
            namespace_store=held.namespace_store,
            throttle=RedisThrottle(cache),
            upstream=upstream,
            audit=audit,
            access_log=access_log,
            reader=reader,
            runtime=Runtime(clock, meter, tasks),
            loops={"audit": audit.forever} if slot == 0 else {},  # all workers of a machine write one file
        )
        flow = assemble(adapters, settings, master, _upstream_keys(settings))
        await _serve(settings, adapters, flow, sockets, on_ready, stop)
        await audit.log_head()


async def _serve(
    settings: Settings,
    adapters: Adapters,
    flow: Flow,
    sockets: list[socket.socket],
    on_ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    await flow.poller.poll()
    clock, meter, tasks = adapters.runtime.clock, adapters.runtime.meter, adapters.runtime.tasks
    background = BackgroundLoops(adapters.runtime, log.error)
    loops = [
        ("poller", flow.poller.forever),
        ("admission", flow.admission.forever),
        ("places", flow.places.forever),
        ("stats", flow.stats.forever),
        ("policy", flow.policy.forever),
        ("holdings", flow.holdings.forever),
        *adapters.loops.items(),
    ]
    ready = pages(partial(_ready, adapters, flow.poller, _longest_poll_s(settings)))
    api, pace = GatewayApi(flow.explainer), settings.request.body_pace
    proxy = Proxy(flow.pipeline, api, flow.responder, ready, clock, meter, pace)
    server = _server(settings, proxy, meter)
    loops.append(("connections", partial(_keep_room, server.table, clock)))
    for name, loop in loops:
        background.keep(name, loop)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=settings.listen.drain_s)
    await runner.setup()
    for listener in sockets:
        # asyncio accepts as many at once as its backlog says, before any of them counts; the kernel's own is set after.
        await web.SockSite(runner, listener, backlog=ACCEPTED_AT_ONCE).start()
        listener.listen(BACKLOG)
    _collect_less()
    on_ready()
    await stop.wait()
    await _finish(runner, server, tasks, settings.listen.drain_s)
    await background.stop()
    await flow.admission.close()
    await flow.policy.close()


def _server(settings: Settings, proxy: Proxy, meter: Meter) -> Server:
    listen = settings.listen
    room = partial(left_for_callers, settings.upstream.max_concurrent + OWN_DESCRIPTORS)
    return Server(
        proxy,
        table=ConnectionTable(room, listen.connections_per_address, meter),
        max_body_bytes=settings.request.max_body_bytes,
        keepalive_s=listen.keepalive_s,
        header_s=listen.header_timeout_s,
    )


async def _finish(runner: web.ServerRunner, server: Server, tasks: BackgroundTasks, drain_s: float) -> None:
    """Accept nothing new and wait for what is under way: answers and background work for `drain_s` together.

    Left alone, aiohttp waits that long twice for its answers (RequestHandler.shutdown, 3.14), by when the supervisor
    has ended this worker by force.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + drain_s
    try:
        async with asyncio.timeout_at(deadline):
            await runner.cleanup()
    except TimeoutError:
        for connection in server.connections:
            connection.force_close()
    await tasks.drain(max(0.0, deadline - loop.time()))


async def _keep_room(table: ConnectionTable, clock: Clock) -> None:
    """Close idle connections where the limit was lowered, or where descriptors ran out in spite of the reserve.

    Nobody says so: without a descriptor libuv accepts newcomers and closes them at once (uv__emfile_trick).
    """
    while True:
        await clock.sleep(ROOM_CHECK_S)
        table.trim()
        if none_left():
            log.error("out of file descriptors; idle connections are closed")
            table.make_room(ACCEPTED_AT_ONCE)


def _collect_less() -> None:
    """Let the collector alone while large bodies are read; it took 13 of 22 ms of a 560 kB miss.

    A body with coordinates is some ten thousand lists, freed by counting and without cycles; the usual threshold of 700
    has the collector look at all of them again and again, and at everything that was there from the start.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)


async def _ready(adapters: Adapters, poller: InvalidationPoller, longest_poll_s: float) -> Mapping[str, bool]:
    """Which stores answer now, and whether this worker still asks them for changes, whatever they answer."""

    async def answers(epoch: Awaitable[object]) -> bool:
        try:
            await epoch
        except StoreUnavailable:
            return False
        return True

    return {
        "state": await answers(adapters.directory.epoch()),
        "cache": await answers(adapters.purge_store.purge_state()),
        "polls": poller.polled_s_ago() <= longest_poll_s + POLL_MARGIN_S,
    }


def _longest_poll_s(settings: Settings) -> float:
    """How long a poll takes when both stores hang, in two attempts: that is their fault, and not this worker's."""
    stores = settings.stores
    return 2 * max(stores.state_timeout_s, PATIENT_DEADLINES * stores.cache_timeout_s)


def _upstream_keys(settings: Settings) -> list[UpstreamKey]:
    return [UpstreamKey(key.id, read_secret(key.file).decode(), key.concern) for key in settings.upstream.keys]


def _upstream(settings: Settings, stack: AsyncExitStack) -> HttpUpstream:
    part = settings.upstream
    upstream = HttpUpstream(
        part.url,
        connect_s=part.connect_s,
        first_byte_s=part.first_byte_s,
        total_s=part.total_s,
        keepalive_s=part.keepalive_s,
    )
    stack.push_async_callback(upstream.close)
    return upstream
