"""Whether this instance should get requests: `/readyz` is 503 for faults of its own only.

What all instances share (the two stores, the upstream) is named as degraded, and never a reason to be taken out: then
an outage would empty the balancer, and those who could still be served would be refused. Everything is read from what
is known already; nothing is asked because somebody asks this.
"""

from collections.abc import Callable, Mapping

from gateway.core.readiness import ReadyState
from gateway.flow.store_status import StoreStatus


class Readiness:
    """`faults`: whether this instance has one of its own faults, by name. It starts as starting."""

    def __init__(
        self, faults: Mapping[str, Callable[[], bool]], status: StoreStatus, upstream_works: Callable[[], bool]
    ) -> None:
        self._faults, self._status, self._upstream_works = faults, status, upstream_works
        self._phase: str | None = "starting"

    def started(self) -> None:
        self._phase = None

    def drain(self) -> None:
        """From here on no new requests are wanted."""
        self._phase = "draining"

    def __call__(self) -> ReadyState:
        own = [] if self._phase is None else [self._phase]
        own += [name for name, found in self._faults.items() if found()]
        shared = [*self._status.lost(), *(() if self._upstream_works() else ("upstream",))]
        return ReadyState(tuple(own), tuple(shared))
