"""What the settings and the tables of others know of labels, for counters that begin at zero."""

from gateway import endpoints
from gateway.adapters.prometheus import PrometheusMeter
from gateway.core.metric_series import SERIES
from gateway.core.metrics import METRICS
from gateway.settings import Settings
from gateway.wiring.known_labels import known_labels
from tests.adapters.test_prometheus import shown


def test_every_label_that_the_table_leaves_open_is_known() -> None:
    known = known_labels(Settings())
    rows = {metric: SERIES[metric.name] for metric in METRICS if metric.name in SERIES}
    left_open = {
        name
        for metric, series in rows.items()
        for row in series
        for name, value in zip(metric.labels, row, strict=True)
        if value is None
    }
    assert left_open == known.keys()
    assert all(values for values in known.values())


def test_a_gateway_shows_the_series_of_its_first_events_before_they_happen() -> None:
    numbers = shown(PrometheusMeter("1", known=known_labels(Settings())).render()[0])
    # The labels in the order of their names.
    for name, *labels in (
        ("esmgw_policy_decisions_total", "refused", "enforce", "concern"),
        ("esmgw_policy_decisions_total", "permitted", "enforce", "concern"),
        ("esmgw_audit_records_total", "policy_refused"),
        ("esmgw_audit_refusals_counted_total", "concern"),
        ("esmgw_auth_failures_total", "unknown"),
        ("esmgw_store_errors_total", "reserve", "state"),
        ("esmgw_requests_total", "none", "unknown-path"),
        *(("esmgw_requests_total", endpoint.name, "upstream-failed") for endpoint in endpoints.ENDPOINTS),
        *(("esmgw_upstream_requests_total", endpoint.name, "disabled") for endpoint in endpoints.ENDPOINTS),
    ):
        assert numbers[name, *labels] == 0.0
