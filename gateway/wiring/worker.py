"""One worker: the flow on real stores, behind a listening socket, until it is told to stop."""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiohttp import web

from gateway import __version__
from gateway.adapters.access_log import NoAccessLog, StreamAccessLog
from gateway.adapters.clock import SystemClock
from gateway.adapters.descriptors import Descriptors, left_for_callers, raise_soft_limit
from gateway.adapters.prometheus import PrometheusMeter
from gateway.adapters.reader_process import Command as ReaderCommand
from gateway.adapters.reader_process import ReaderProcess
from gateway.adapters.redis_cache import RedisCache
from gateway.adapters.redis_purges import RedisPurges
from gateway.adapters.redis_run_counters import RedisRunCounters
from gateway.adapters.redis_throttle import RedisThrottle
from gateway.adapters.upstream_http import HttpUpstream
from gateway.core import sealing
from gateway.core.store_faults import StoreName
from gateway.core.upstream_key import UpstreamKey
from gateway.flow.runtime import BackgroundLoops, BackgroundTasks, Runtime
from gateway.ports import Clock, Meter, StoreProbe
from gateway.settings import Settings, master_secret, read_secret
from gateway.web.connections import ConnectionTable
from gateway.web.gateway_api import GatewayApi
from gateway.web.health import pages
from gateway.web.proxy import Proxy
from gateway.web.server import Server
from gateway.web.unsent_answers import UnsentAnswers
from gateway.wiring.assembly import Adapters, Flow, assemble
from gateway.wiring.audit import open_audit
from gateway.wiring.departure import Departure
from gateway.wiring.health import watched, worker_health
from gateway.wiring.reader import reader_process
from gateway.wiring.state_guard import open_state
from gateway.wiring.stores import clients

log = logging.getLogger(__name__)
BACKLOG = 1024
ACCEPTED_AT_ONCE = 8
ROOM_CHECK_S = 1.0
# For stores, audit, logs and listeners, and for callers who were accepted and are not counted yet.
OWN_DESCRIPTORS = 64
# Objects that may be there more than at the last collection; a large body is about 10,000.
COLLECT_AFTER = 100_000


async def run_worker(
    settings: Settings,
    slot: int,
    sockets: list[socket.socket],
    on_ready: Callable[[], None],
    stop: asyncio.Event,
    reader_command: ReaderCommand,
    hurry: asyncio.Event | None = None,
) -> None:
    """One worker, from start to drained: until `stop`, and in a `hurry` with no lame duck. The URLs must be set."""
    raise_soft_limit()
    master = master_secret(settings)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        meter = PrometheusMeter(__version__, settings.metrics_dir, slot)
        stack.callback(meter.close)
        state, cache = await clients(settings, stack)
        audit = await open_audit(settings, master, state, clock, meter, log.warning)
        held = await open_state(settings, master, state, audit, clock, meter, log.warning)
        adapters = Adapters(
            directory=held.directory,
            ledger=held.ledger,
            cache=RedisCache(cache, clock, sealing.derive_key(master, "leases")),
            purge_store=RedisPurges(cache, state, sealing.derive_key(master, "purges"), clock, meter),
            namespace_store=held.namespace_store,
            throttle=RedisThrottle(cache),
            run_counters=RedisRunCounters(state),
            upstream=_upstream(settings, stack),
            audit=audit,
            access_log=_access_log(settings, stack),
            reader=_reader(reader_command, settings, meter, stack),
            runtime=Runtime(clock, meter, BackgroundTasks(log.error)),
            loops={"audit": audit.forever} if slot == 0 else {},  # all workers of a machine write one file
        )
        flow = assemble(adapters, settings, master, _upstream_keys(settings))
        probes = watched(state, cache, flow.status)
        await _serve(settings, adapters, flow, probes, sockets, on_ready, stop, hurry or asyncio.Event())
        if slot == 0:
            await audit.log_head()


async def _serve(
    settings: Settings,
    adapters: Adapters,
    flow: Flow,
    probes: Mapping[StoreName, StoreProbe],
    sockets: list[socket.socket],
    on_ready: Callable[[], None],
    stop: asyncio.Event,
    hurry: asyncio.Event,
) -> None:
    await flow.poller.poll()
    clock, meter, tasks = adapters.runtime.clock, adapters.runtime.meter, adapters.runtime.tasks
    background = BackgroundLoops(adapters.runtime, log.error)
    loops = _loops(flow, adapters)
    health = worker_health(settings, flow, background, probes, adapters.runtime)
    api, pace = GatewayApi(flow.explainer), settings.request.body_pace
    proxy = Proxy(flow.pipeline, api, flow.responder, pages(health.ready), clock, meter, pace)
    server = _server(settings, proxy, meter)
    loops.append(("connections", partial(_keep_room, server.table, health.descriptors, clock)))
    for name, loop in (*loops, *health.loops):
        background.keep(name, loop)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=settings.listen.drain_s)
    await runner.setup()
    for listener in sockets:
        await _listen(runner, listener)
    _collect_less()
    health.ready.started()
    on_ready()
    await stop.wait()
    health.ready.drain()
    await Departure(runner, server, tasks, sockets, settings.listen).leave(hurry)
    await background.stop()
    await flow.admission.close()
    await flow.policy.close()


def _loops(flow: Flow, adapters: Adapters) -> list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
    """What runs in the background, by name."""
    return [
        ("poller", flow.poller.forever),
        ("admission", flow.admission.forever),
        ("places", flow.places.forever),
        ("stats", flow.stats.forever),
        ("policy", flow.policy.forever),
        ("holdings", flow.holdings.forever),
        *adapters.loops.items(),
    ]


async def _listen(runner: web.ServerRunner, listener: socket.socket) -> None:
    """asyncio accepts as many at once as its backlog says, before any of them counts; the kernel's own is set after."""
    await web.SockSite(runner, listener, backlog=ACCEPTED_AT_ONCE).start()
    listener.listen(BACKLOG)


def _server(settings: Settings, proxy: Proxy, meter: Meter) -> Server:
    listen = settings.listen
    room = partial(left_for_callers, settings.upstream.max_concurrent + OWN_DESCRIPTORS)
    return Server(
        proxy,
        table=ConnectionTable(room, listen.connections_per_address, meter),
        unsent=UnsentAnswers(listen.unsent_bytes, listen.answer_pace, meter),
        max_body_bytes=settings.request.max_body_bytes,
        keepalive_s=listen.keepalive_s,
        header_s=listen.header_timeout_s,
    )


async def _keep_room(table: ConnectionTable, descriptors: Descriptors, clock: Clock) -> None:
    """Close idle connections where the limit was lowered, or where descriptors ran out in spite of the reserve.

    Nobody says so: without a descriptor libuv accepts newcomers and closes them at once (uv__emfile_trick).
    """
    while True:
        await clock.sleep(ROOM_CHECK_S)
        table.trim()
        if descriptors.look():
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


def _upstream_keys(settings: Settings) -> list[UpstreamKey]:
    return [UpstreamKey(key.id, read_secret(key.file).decode(), key.concern) for key in settings.upstream.keys]


def _reader(command: ReaderCommand, settings: Settings, meter: Meter, stack: AsyncExitStack) -> ReaderProcess:
    reader = reader_process(command, settings, meter, log.warning)
    stack.push_async_callback(reader.close)
    return reader


def _access_log(settings: Settings, stack: AsyncExitStack) -> StreamAccessLog | NoAccessLog:
    access_log = StreamAccessLog(1) if settings.log.access else NoAccessLog()
    stack.callback(access_log.close)
    return access_log


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
