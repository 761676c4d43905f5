"""What a worker holds in memory, as gauges: bytes of what is bounded in bytes, numbers of what comes and goes.

docs/operating.md ("Memory of a worker") says what bounds each of them and what they come to together.
"""

from collections.abc import Callable, Mapping

from gateway.core.metrics import HELD, LOCAL_CACHE_BYTES
from gateway.flow.runtime import Runtime

SHOW_EVERY_S = 15.0


class Holdings:
    """`sizes` in bytes, by the label `layer`; `counts` by the label `what`."""

    def __init__(
        self, sizes: Callable[[], Mapping[str, int]], counts: Callable[[], Mapping[str, int]], runtime: Runtime
    ) -> None:
        self._sizes, self._counts = sizes, counts
        self._clock, self._meter = runtime.clock, runtime.meter

    async def forever(self) -> None:
        while True:
            self.show()
            await self._clock.sleep(SHOW_EVERY_S)

    def show(self) -> None:
        """Set the gauges."""
        for layer, size in self._sizes().items():
            self._meter.gauge(LOCAL_CACHE_BYTES, size, layer)
        for what, count in self._counts().items():
            self._meter.gauge(HELD, count, what)
