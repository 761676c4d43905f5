"""The meter of the tests refuses what the real one refuses: whatever passes here would be counted in production."""

import pytest

from gateway.adapters.prometheus import PrometheusMeter
from gateway.core.metrics import AUDIT_FAILURES, IN_FLIGHT, LATENCY, REQUESTS, Metric
from gateway.ports import Meter
from tests.fakes.world import FakeMeter


@pytest.fixture(params=["memory", "prometheus"])
def meter(request: pytest.FixtureRequest) -> Meter:
    return FakeMeter() if request.param == "memory" else PrometheusMeter("1")


def test_what_fits_its_row_is_taken(meter: Meter) -> None:
    meter.count(REQUESTS, "fold", "hit")
    meter.count(AUDIT_FAILURES, by=0.0)
    meter.observe(LATENCY, 0.5, "fold", "total")
    meter.gauge(IN_FLIGHT, -1.0, "requests")


def test_a_metric_that_is_not_in_the_table_is_refused(meter: Meter) -> None:
    stranger = Metric("esmgw_unheard_of_total", "counter", (), "")
    with pytest.raises(KeyError):
        meter.count(stranger)
    with pytest.raises(KeyError):
        meter.observe(stranger, 1.0)
    with pytest.raises(KeyError):
        meter.gauge(stranger, 1.0)


def test_a_metric_of_another_kind_is_refused(meter: Meter) -> None:
    with pytest.raises(ValueError, match="is a gauge"):
        meter.count(IN_FLIGHT, "requests")
    with pytest.raises(ValueError, match="is a counter"):
        meter.observe(REQUESTS, 1.0, "fold", "hit")
    with pytest.raises(ValueError, match="is a histogram"):
        meter.gauge(LATENCY, 1.0, "fold", "total")


def test_another_number_of_labels_is_refused(meter: Meter) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        meter.count(REQUESTS, "fold")
    with pytest.raises(ValueError, match="endpoint"):
        meter.observe(LATENCY, 1.0)
    with pytest.raises(ValueError, match="what"):
        meter.gauge(IN_FLIGHT, 1.0, "requests", "upstream")


def test_a_counter_never_falls(meter: Meter) -> None:
    with pytest.raises(ValueError, match="only grow"):
        meter.count(AUDIT_FAILURES, by=-1.0)
