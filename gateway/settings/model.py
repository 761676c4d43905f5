"""Every setting: its name, type, bounds, default and description, in one frozen model.

`docs/settings.md` and `deploy/esm-gateway.toml` are generated from these descriptions. Nothing here reads a file or the
environment (`load.py` does). Secrets are never values here, only paths of files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.core.quota import LimitConfig
from gateway.core.types import Limits

UNLIMITED = "unlimited"


def _unlimited(value: Any) -> Any:
    return None if value == UNLIMITED else value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
FilePath = Annotated[Path, Field(strict=False)]
Ceiling = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_unlimited)]
UnitCeiling = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_unlimited)]


class SettingsTable(BaseModel):
    """One table of the file: frozen, no unknown names, no guessing of types ("8080" is no port)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ListenSettings(SettingsTable):
    """Listeners, workers and timeouts towards callers."""

    host: Text = Field("127.0.0.1", description="Address for callers; 0.0.0.0 for every interface.")
    port: Port = Field(8080, description="Port for callers; 0 for any free one.")
    workers: Annotated[int, Field(ge=1, le=128)] = Field(1, description="Worker processes; about one per core.")
    metrics_host: Text = Field(
        "127.0.0.1", description="Address of the metrics listener, separate from the callers' one."
    )
    metrics_port: Port = Field(9464, description="Port of the metrics listener; 0 for any free one.")
    keepalive_s: Seconds = Field(75.0, description="Idle connections of callers are closed after this time.")
    header_timeout_s: Seconds = Field(15.0, description="Deadline for receiving a request's header section.")
    drain_s: Seconds = Field(20.0, description="After SIGTERM, how long requests in flight may take to finish.")


class UpstreamKeySettings(SettingsTable):
    """One upstream key: a name for logs and metrics, and the file with the secret."""

    id: Text = Field(description="Name of the key in logs and metrics; not secret.")
    file: FilePath = Field(description="File with the key; mode 0640 or stricter.")
    concern: bool = Field(False, description="Use this key for declared sequences of concern, and for nothing else.")


class UpstreamSettings(SettingsTable):
    """The protein-model API behind the gateway: its address, keys and deadlines."""

    url: Text = Field("https://forge.evolutionaryscale.ai", description="Scheme and host of the upstream.")
    connect_s: Seconds = Field(5.0, description="Deadline for connecting to the upstream.")
    first_byte_s: Seconds = Field(
        300.0, description="Deadline for the first byte of an answer; also for a free place (max_concurrent)."
    )
    total_s: Seconds = Field(600.0, description="Deadline for one attempt, from connecting to the last byte.")
    max_concurrent: Count = Field(64, description="Concurrent upstream calls, per worker.")
    max_answer_bytes: Count = Field(67108864, description="Larger answers are rejected with 502.")
    keepalive_s: Seconds = Field(10.0, description="Idle connections to the upstream are closed after this time.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(2, description="Retries per call.")
    cooldown_s: Seconds = Field(
        10.0, description="How long a key cools down after a 402, or after a 429 without Retry-After."
    )
    ask_pickle: bool = Field(False, description="Reserved; must be false: only JSON is requested.")
    keys: Annotated[tuple[UpstreamKeySettings, ...], Field(strict=False)] = Field((), description="The upstream keys.")


class BreakerSettings(SettingsTable):
    """The circuit breaker in front of the upstream; one per worker."""

    failures: Count = Field(5, description="Consecutive failures that open the circuit breaker.")
    open_s: Seconds = Field(10.0, description="How long the circuit breaker stays open before one half-open probe.")


class StoreSettings(SettingsTable):
    """The two stores. Where a URL is left out, the gateway runs an embedded Valkey under data_dir."""

    state_url: Text | None = Field(
        None, description="State store (keys, quotas, approvals, namespaces): Redis >= 7.0 or Valkey >= 7.2."
    )
    state_password_file: FilePath | None = Field(None, description="File with the password of the state store.")
    cache_url: Text | None = Field(None, description="Cache store (answers); it may evict and may be lost.")
    cache_password_file: FilePath | None = Field(None, description="File with the password of the cache store.")
    cache_mb: Annotated[int, Field(ge=16)] = Field(512, description="Memory of the embedded cache store, in MiB.")
    state_timeout_s: Seconds = Field(1.0, description="Timeout of the state store; beyond it callers get 503.")
    cache_timeout_s: Seconds = Field(0.05, description="Timeout of a cache look-up; beyond it the cache is bypassed.")


class SecretSettings(SettingsTable):
    """The master secret. The keys for sealing, digests and the audit chain are derived from it."""

    master_file: FilePath | None = Field(
        None,
        description="File with at least 32 bytes, the same on every machine. Left out: data_dir/secrets/master, "
        "created when absent (with embedded stores only).",
    )


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


class CacheSettings(SettingsTable):
    """Which answers are cached, shared with whom, and for how long."""

    enabled: bool = Field(True, description="Whether answers are cached at all.")
    classes: Annotated[tuple[Literal["exact", "pinned"], ...], Field(strict=False)] = Field(
        ("exact", "pinned"),
        description="Classes of determinism that are cached; sampled answers are cached in pools and namespaces only.",
    )
    level: Literal["wire", "sampler"] = Field(
        "wire",
        description="Which calls share a cache entry: those that no upstream can tell apart (wire), or also those "
        "that the published sampler answers identically (sampler).",
    )
    rules: Mapping[str, bool] = Field(
        default_factory=dict,
        description="Switches single sampler rules on or off, by name, at either level; docs/caching.md lists them.",
    )
    ttl_s: Seconds = Field(2592000.0, description="Freshness lifetime of a cached answer.")
    stale_if_error_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0,
        description="How long a stale answer stays stored, for use while the upstream is down or with max-stale.",
    )
    max_entry_bytes: Count = Field(16777216, description="Larger answers are not cached.")
    namespace_max_bytes: Count = Field(268435456, description="Maximum size of one namespace, in the state store.")
    share: Literal["organisation", "team", "user"] = Field("organisation", description="Who shares cached answers.")
    spot_check_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01,
        description="Share of hits that are spot-checked: computed again in the background and compared; 0 for none.",
    )
    spot_check_units_per_day: Annotated[int, Field(ge=0)] = Field(
        100000, description="Budget of spot checks in units per UTC day, all workers together; charged to no user."
    )
    spot_check_interval_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        600.0, description="Minimum interval between two spot checks of one entry, per worker."
    )
    spot_check_classes: Annotated[tuple[Literal["exact", "pinned"], ...], Field(strict=False)] = Field(
        ("exact",),
        description="Classes of hits that are spot-checked; an entry that differs is dropped only if it is exact.",
    )
    lease_s: Seconds = Field(
        5.0,
        description="Lease of a single flight across processes; when its worker stops renewing it, another takes over.",
    )
    local_answers_bytes: Annotated[int, Field(ge=0)] = Field(
        67108864, description="In-process cache of answers, per worker; 0 for none."
    )
    local_calls_bytes: Annotated[int, Field(ge=0)] = Field(
        67108864, description="In-process cache of validated calls, per worker; 0 for none."
    )


class PolicySettings(SettingsTable):
    """Policies, checked before the cache."""

    concern: Literal["enforce", "observe"] = Field(
        "enforce",
        description="Declared sequences of concern without approval: refuse (enforce) or only record (observe).",
    )


class AuditSettings(SettingsTable):
    """The audit record: a file of chained records."""

    file: FilePath | None = Field(None, description="The audit file. Left out: data_dir/audit/audit.jsonl.")


class AdmissionSettings(SettingsTable):
    """How long a request may wait for a rate or concurrency limit, and what becomes of a crashed reservation."""

    max_wait_s: Annotated[float, Field(ge=0, le=60)] = Field(
        2.0, description="Longest wait for a rate limit, and again for a concurrency limit, before a 429."
    )
    max_waiting: Annotated[int, Field(ge=0)] = Field(
        1000, description="Requests that may wait at the same time, per worker."
    )
    reservation_lease_s: Seconds = Field(
        660.0,
        description="Concurrency held by a crashed worker is released after this time; at least upstream.total_s + 30.",
    )


class RequestSettings(SettingsTable):
    """What is accepted from callers."""

    max_body_bytes: Count = Field(33554432, description="Larger bodies are refused with 413.")
    max_tokens: Count = Field(4096, description="Maximum number of tokens of one protein, BOS and EOS included.")
    defaults: Literal["2025-02-14", "2024-06-25"] = Field(
        "2025-02-14", description="Dated set of defaults for the fields that a request leaves out."
    )


class LogSettings(SettingsTable):
    """What is written to standard output."""

    access: bool = Field(True, description="Access log: one JSON line per request, without keys and sequences.")


class Settings(SettingsTable):
    """Everything that an operator can set."""

    data_dir: FilePath = Field(
        Path("/var/lib/esm-gateway"),
        description="Directory of embedded stores, audit file, generated secret and metrics.",
    )
    listen: ListenSettings = Field(default_factory=ListenSettings)
    upstream: UpstreamSettings = Field(default_factory=UpstreamSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    models: Annotated[Mapping[Text, Seconds], Field(min_length=1)] = Field(
        default_factory=lambda: {"esm3-open-2024-03": 1.0},
        description="Models that may be called, each with its weight in units.",
    )
    stores: StoreSettings = Field(default_factory=StoreSettings)
    secrets: SecretSettings = Field(default_factory=SecretSettings)
    limits: LimitsSettings = Field(default_factory=LimitsSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    admission: AdmissionSettings = Field(default_factory=AdmissionSettings)
    request: RequestSettings = Field(default_factory=RequestSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @property
    def audit_file(self) -> Path:
        return self.audit.file or self.data_dir / "audit" / "audit.jsonl"

    @property
    def master_file(self) -> Path:
        return self.secrets.master_file or self.data_dir / "secrets" / "master"

    @property
    def metrics_dir(self) -> Path:
        return self.data_dir / "metrics"
