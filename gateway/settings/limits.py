"""Settings of the limits of users, and of how long a request may wait for them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from gateway.core.quota import LimitConfig
from gateway.core.types import Limits
from gateway.settings.table import Ceiling, Seconds, SettingsTable, UnitCeiling


class HolderLimits(SettingsTable):
    """The limits of one user; "unlimited" removes one."""

    requests_per_minute: Ceiling = Field(None, description="Requests per minute, hits included.")
    burst: Ceiling = Field(None, description="Requests that may come at once; left out: requests_per_minute.")
    concurrent: Ceiling = Field(None, description="Concurrent upstream calls.")
    units_per_day: UnitCeiling = Field(
        None, description="Units per UTC day (docs/endpoints.md has the prices); hits cost none."
    )

    def limits(self) -> Limits:
        return Limits(**self.model_dump())


class DefaultHolderLimits(HolderLimits):
    """The limits of users who have none of their own."""

    requests_per_minute: Ceiling = Field(600, description="Requests per minute, hits included.")
    concurrent: Ceiling = Field(32, description="Concurrent upstream calls.")
    units_per_day: UnitCeiling = Field(
        2000000, description="Units per UTC day (docs/endpoints.md has the prices); hits cost none."
    )


class LimitsSettings(SettingsTable):
    """Limits of users. A key can have narrower ones of its own (`keys create`)."""

    default: DefaultHolderLimits = Field(default_factory=DefaultHolderLimits, description="Limits of every user.")
    users: Mapping[str, HolderLimits] = Field(
        default_factory=dict,
        description="Limits of one user, by name; those left out are as in limits.default.",
    )

    def limit_config(self) -> LimitConfig:
        """The limits by user, as the flow reads them."""
        plain = self.default.model_dump()
        own = {
            user: Limits(**{**plain, **table.model_dump(include=table.model_fields_set)})
            for user, table in self.users.items()
        }
        return LimitConfig(self.default.limits(), own)


class AdmissionSettings(SettingsTable):
    """How long a request may wait, how places at the upstream are shared, and what a crashed reservation holds."""

    max_wait_s: Annotated[float, Field(ge=0, le=60)] = Field(
        2.0,
        description="Longest wait before a 429, for rate, concurrency, resting upstream keys and an open circuit "
        "breaker together. Waiting for a place at the upstream counts in upstream.total_s instead.",
    )
    max_waiting: Annotated[int, Field(ge=0)] = Field(
        4096, description="Requests that may wait at the same time, per worker."
    )
    max_waiting_per_user: Annotated[int, Field(ge=0)] = Field(
        1024, description="Requests of one user that may wait at the same time, per worker."
    )
    weights: Mapping[str, Annotated[float, Field(ge=0.01, le=100)]] = Field(
        default_factory=dict,
        description="Shares of the places at the upstream, by user, while there are more calls than places; others "
        "have 1.0, and 2.0 is twice as many units.",
    )
    reservation_lease_s: Seconds = Field(
        660.0,
        description="Concurrency held by a crashed worker is released after this time; at least upstream.total_s + 30.",
    )
