"""Every setting: one frozen model, made of the tables in the modules beside this one.

`docs/settings.md` and `deploy/esm-gateway.toml` are generated from the descriptions of their fields. Nothing here reads
a file or the environment (`load.py` does). Secrets are never values here, only paths of files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.settings.cache import CacheSettings
from gateway.settings.limits import AdmissionSettings, LimitsSettings
from gateway.settings.serving import ListenSettings, LogSettings, RequestSettings
from gateway.settings.stores import SecretSettings, StoreSettings
from gateway.settings.table import Count, FilePath, Seconds, SettingsTable, Text
from gateway.settings.upstream import BreakerSettings, UpstreamSettings


class PolicySettings(SettingsTable):
    """Policies, checked before the cache."""

    concern: Literal["enforce", "observe"] = Field(
        "enforce",
        description="Declared sequences of concern without approval: refuse (enforce) or only record (observe).",
    )


class AuditSettings(SettingsTable):
    """The audit record: files of chained records."""

    file: FilePath | None = Field(None, description="The audit file. Left out: data_dir/audit/audit.jsonl.")
    segment_bytes: Count = Field(
        67108864, description="A larger audit file is set aside, and the chain goes on in a new one."
    )


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
    def decisions_file(self) -> Path:
        """What this machine remembers of the state store."""
        return self.data_dir / "memory" / "decisions"

    @property
    def master_file(self) -> Path:
        return self.secrets.master_file or self.data_dir / "secrets" / "master"

    @property
    def signing_file(self) -> Path:
        return self.secrets.signing_file or self.data_dir / "secrets" / "signing"

    @property
    def metrics_dir(self) -> Path:
        return self.data_dir / "metrics"
