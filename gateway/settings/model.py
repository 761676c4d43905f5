"""Every setting there is: its name, type, bounds, default and meaning, in one frozen model.

The sentences here are the reference: `docs/settings.md` and `deploy/esm-gateway.toml` are written from them. Nothing
here reads a file or the environment (`load.py` does), and no secret is ever kept here, only the paths of their files.
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
    """Where the gateway listens, and for how long it waits for its callers."""

    host: Text = Field("127.0.0.1", description="Address that callers connect to; 0.0.0.0 for every interface.")
    port: Port = Field(8080, description="Port that callers connect to; 0 takes any free one.")
    workers: Annotated[int, Field(ge=1, le=128)] = Field(1, description="Worker processes; about one a core.")
    metrics_host: Text = Field("127.0.0.1", description="Address of the Prometheus metrics, apart from the callers'.")
    metrics_port: Port = Field(9464, description="Port of the Prometheus metrics; 0 takes any free one.")
    keepalive_s: Seconds = Field(75.0, description="An idle connection of a caller is closed after this long.")
    header_timeout_s: Seconds = Field(15.0, description="A caller has this long to send a request's headers.")
    drain_s: Seconds = Field(20.0, description="On SIGTERM, calls under way may take this long to end.")


class UpstreamKeySettings(SettingsTable):
    """One upstream key: a name for logs and metrics, and the file that holds the secret."""

    id: Text = Field(description="Its name in logs and metrics; not secret.")
    file: FilePath = Field(description="File that holds the key; mode 0640 or stricter.")
    concern: bool = Field(False, description="Whether declared sequences of concern go out with this key.")


class UpstreamSettings(SettingsTable):
    """The protein-model API behind the gateway, its keys and its deadlines."""

    url: Text = Field("https://forge.evolutionaryscale.ai", description="Scheme and host of the upstream.")
    connect_s: Seconds = Field(5.0, description="Deadline for a connection to the upstream.")
    first_byte_s: Seconds = Field(300.0, description="Deadline for the first byte of an answer.")
    total_s: Seconds = Field(600.0, description="Deadline for a whole call, all tries together.")
    max_concurrent: Count = Field(64, description="Upstream calls under way at once, per worker.")
    max_answer_bytes: Count = Field(67108864, description="A larger answer is dropped and reported as a bad one.")
    keepalive_s: Seconds = Field(10.0, description="An idle connection to the upstream is closed after this long.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(2, description="Tries after the first, for one call.")
    cooldown_s: Seconds = Field(10.0, description="A key rests this long after a 429 without Retry-After, or a 5xx.")
    ask_pickle: bool = Field(False, description="Reserved; must be false: answers are JSON only.")
    keys: Annotated[tuple[UpstreamKeySettings, ...], Field(strict=False)] = Field((), description="The upstream keys.")


class BreakerSettings(SettingsTable):
    """When the upstream as a whole is left in peace."""

    failures: Count = Field(5, description="Failures in a row after which nothing is sent for a while.")
    open_s: Seconds = Field(10.0, description="How long that while is; then one call tries.")


class StoreSettings(SettingsTable):
    """The two stores. Without URLs the gateway runs its own servers under data_dir."""

    state_url: Text | None = Field(None, description="Keys, quotas, grants: a Redis >= 7.0 or Valkey >= 7.2.")
    state_password_file: FilePath | None = Field(None, description="File with the password for state_url.")
    cache_url: Text | None = Field(None, description="Answers; may evict, may be lost.")
    cache_password_file: FilePath | None = Field(None, description="File with the password for cache_url.")
    cache_mb: Annotated[int, Field(ge=16)] = Field(512, description="Memory of the embedded cache, in MiB.")
    state_timeout_s: Seconds = Field(1.0, description="A state store slower than this counts as lost: 503.")
    cache_timeout_s: Seconds = Field(0.05, description="A cache slower than this is bypassed.")


class SecretSettings(SettingsTable):
    """The gateway's own secret, from which its keys for sealing, digests and the audit chain are derived."""

    master_file: FilePath | None = Field(
        None,
        description="File of 32 or more bytes. Left out: data_dir/secrets/master, made when absent "
        "(embedded stores only; several machines must share one).",
    )


class HolderLimits(SettingsTable):
    """Ceilings for one holder; "unlimited" lifts one."""

    requests_per_minute: Ceiling = Field(None, description="Requests a minute, hits included.")
    burst: Ceiling = Field(None, description="Requests at once; left out: as many as a minute's.")
    concurrent: Ceiling = Field(None, description="Calls under way at the upstream at once.")
    units_per_day: UnitCeiling = Field(
        None, description="Units (model weight x steps x tokens) a UTC day; hits cost none."
    )

    def limits(self) -> Limits:
        return Limits(**self.model_dump())


class DefaultHolderLimits(HolderLimits):
    """What a user has of whom nothing else is said."""

    requests_per_minute: Ceiling = Field(600, description="Requests a minute, hits included.")
    concurrent: Ceiling = Field(32, description="Calls under way at the upstream at once.")
    units_per_day: UnitCeiling = Field(
        2000000, description="Units (model weight x steps x tokens) a UTC day; hits cost none."
    )


class LimitsSettings(SettingsTable):
    """Ceilings of users. A key can have narrower ones of its own (`keys create`)."""

    default: DefaultHolderLimits = Field(default_factory=DefaultHolderLimits, description="For every user.")
    users: Mapping[str, HolderLimits] = Field(
        default_factory=dict,
        description="For one user, by name: the same four; those left out are as in limits.default.",
    )

    def limit_config(self) -> LimitConfig:
        """Who has which ceilings, as the flow reads it."""
        plain = self.default.model_dump()
        own = {
            user: Limits(**{**plain, **table.model_dump(include=table.model_fields_set)})
            for user, table in self.users.items()
        }
        return LimitConfig(self.default.limits(), own)


class CacheSettings(SettingsTable):
    """Which answers are kept, for whom and for how long."""

    enabled: bool = Field(True, description="Whether answers are kept at all.")
    classes: Annotated[tuple[Literal["exact", "pinned"], ...], Field(strict=False)] = Field(
        ("exact", "pinned"), description="Classes of determinism that are kept; sampled answers never are."
    )
    level: Literal["wire", "sampler"] = Field(
        "wire",
        description="Which calls are one: those no upstream could tell apart, or also those that the published "
        "sampler provably answers alike.",
    )
    rules: Mapping[str, bool] = Field(
        default_factory=dict,
        description="Single sampler rules, by name, on or off whatever the level; docs/caching.md lists them.",
    )
    ttl_s: Seconds = Field(2592000.0, description="How long an answer is kept.")
    stale_if_error_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, description="So long after its time an answer still stands in, marked, while the upstream is down."
    )
    max_entry_bytes: Count = Field(16777216, description="A larger answer is not kept.")
    namespace_max_bytes: Count = Field(
        268435456, description="Most bytes that one namespace holds; in the state store."
    )
    share: Literal["organisation", "team", "user"] = Field("organisation", description="Who shares kept answers.")
    spot_check_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="Share of hits that are computed again in the background and compared; 0 for none."
    )
    spot_check_units_per_day: Annotated[int, Field(ge=0)] = Field(
        100000, description="Most units a UTC day that this costs, all workers together; charged to nobody."
    )
    spot_check_interval_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        600.0, description="So long a worker leaves an answer alone that it has just found right."
    )
    spot_check_classes: Annotated[tuple[Literal["exact", "pinned"], ...], Field(strict=False)] = Field(
        ("exact",), description="Classes of hits that it concerns; only an exact answer that differs is dropped."
    )
    lease_s: Seconds = Field(5.0, description="Another worker takes over a call whose worker is silent this long.")
    local_answers_bytes: Annotated[int, Field(ge=0)] = Field(
        67108864, description="Memory for answers, per worker; 0 for none."
    )
    local_calls_bytes: Annotated[int, Field(ge=0)] = Field(
        67108864, description="Memory for checked calls, per worker; 0 for none."
    )


class PolicySettings(SettingsTable):
    """Who may send what."""

    concern: Literal["enforce", "observe"] = Field(
        "enforce", description="Declared sequences of concern without approval: refused, or only recorded."
    )


class AuditSettings(SettingsTable):
    """The chained record."""

    file: FilePath | None = Field(None, description="The audit file. Left out: data_dir/audit/audit.jsonl.")


class AdmissionSettings(SettingsTable):
    """How long a call may wait for a rate that frees up."""

    max_wait_s: Annotated[float, Field(ge=0, le=60)] = Field(2.0, description="Longest wait before a 429.")
    max_waiting: Annotated[int, Field(ge=0)] = Field(1000, description="Calls that wait at once, per worker.")
    reservation_lease_s: Seconds = Field(
        660.0, description="What a lost worker had reserved frees after this; at least upstream.total_s + 30."
    )


class RequestSettings(SettingsTable):
    """What is accepted from callers."""

    max_body_bytes: Count = Field(33554432, description="A larger body is refused with 413.")
    max_tokens: Count = Field(4096, description="Most tokens of one protein, start and end included.")
    defaults: Literal["2025-02-14", "2024-06-25"] = Field(
        "2025-02-14", description="Dated set of defaults that a request's left-out fields take."
    )


class LogSettings(SettingsTable):
    """What is written to standard output."""

    access: bool = Field(True, description="One JSON line a request; never a key or a sequence.")


class Settings(SettingsTable):
    """Everything that an operator can set."""

    data_dir: FilePath = Field(
        Path("/var/lib/esm-gateway"), description="Embedded stores, audit file, generated secret, metrics."
    )
    listen: ListenSettings = Field(default_factory=ListenSettings)
    upstream: UpstreamSettings = Field(default_factory=UpstreamSettings)
    breaker: BreakerSettings = Field(default_factory=BreakerSettings)
    models: Annotated[Mapping[Text, Seconds], Field(min_length=1)] = Field(
        default_factory=lambda: {"esm3-open-2024-03": 1.0},
        description="Models that may be asked for, each with its weight in units.",
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
