"""What makes a worker ready, as `/readyz` tells it, and the loops that find it out."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.adapters.descriptors import Descriptors
from gateway.adapters.disk_room import DiskRoom
from gateway.adapters.embedded_store import is_embedded
from gateway.adapters.redis_connect import RedisStore
from gateway.adapters.redis_probe import RedisProbe
from gateway.adapters.redis_purges import PATIENT_DEADLINES
from gateway.core.store_faults import StoreName
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.readiness import Readiness
from gateway.flow.runtime import BackgroundLoops, Runtime
from gateway.flow.store_monitor import StoreMonitor
from gateway.flow.store_status import StoreStatus
from gateway.ports import StoreProbe
from gateway.settings import Settings
from gateway.wiring.assembly import Flow

log = logging.getLogger(__name__)
POLL_MARGIN_S = 3.0
Loop = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """Its readiness, the last look at its descriptors, and the loops to be kept running."""

    ready: Readiness
    descriptors: Descriptors
    loops: tuple[Loop, ...]


def watched(state: RedisStore, cache: RedisStore, status: StoreStatus) -> Mapping[StoreName, StoreProbe]:
    """Probes of both stores, whose failed operations `status` hears of."""
    state.on_fault, cache.on_fault = partial(status.refused, "state"), partial(status.refused, "cache")
    return {"state": RedisProbe(state, "state"), "cache": RedisProbe(cache, "cache")}


def worker_health(
    settings: Settings,
    flow: Flow,
    background: BackgroundLoops,
    probes: Mapping[StoreName, StoreProbe],
    runtime: Runtime,
) -> WorkerHealth:
    """Of a worker that has not started yet."""
    disk, descriptors = DiskRoom(own_disks(settings)), Descriptors()
    longest_poll_s = longest_poll(settings)
    faults: Mapping[str, Callable[[], bool]] = {
        "loops": background.failing,
        "poller": partial(is_stale, flow.poller, longest_poll_s),
        "descriptors": lambda: descriptors.none_left,
        "disk": lambda: disk.full,
    }
    monitor = StoreMonitor(probes, flow.status, runtime, log.warning)
    loops: tuple[Loop, ...] = (("stores", monitor.forever), ("disk", partial(disk.forever, runtime.clock.sleep)))
    return WorkerHealth(Readiness(faults, flow.status, flow.places.works), descriptors, loops)


def is_stale(poller: InvalidationPoller, longest_poll_s: float) -> bool:
    """Whether this worker has stopped asking the stores for changes, whatever they answer."""
    return poller.polled_s_ago() > longest_poll_s + POLL_MARGIN_S


def longest_poll(settings: Settings) -> float:
    """Seconds that a poll takes when both stores hang, in two attempts: that is their fault, and not this worker's."""
    stores = settings.stores
    return 2 * max(stores.state_timeout_s, PATIENT_DEADLINES * stores.cache_timeout_s)


def own_disks(settings: Settings) -> list[Path]:
    """Where this instance alone writes: its audit file, and its state store where that is embedded."""
    embedded = is_embedded(settings.data_dir, "state", settings.stores.state_url or "")
    return [settings.audit_file.parent, *([settings.data_dir / "state"] if embedded else ())]
