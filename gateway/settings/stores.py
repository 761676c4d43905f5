"""Settings of the two stores and of the master secret."""

from typing import Annotated

from pydantic import Field

from gateway.settings.table import FilePath, Seconds, SettingsTable, Text


class StoreSettings(SettingsTable):
    """The two stores. Where a URL is left out, the gateway runs an embedded Valkey under data_dir."""

    state_url: Text | None = Field(
        None, description="State store (keys, quotas, approvals, namespaces): Redis >= 7.0 or Valkey >= 7.2."
    )
    state_password_file: FilePath | None = Field(None, description="File with the password of the state store.")
    cache_url: Text | None = Field(None, description="Cache store (answers); it may evict and may be lost.")
    cache_password_file: FilePath | None = Field(None, description="File with the password of the cache store.")
    state_sentinel_password_file: FilePath | None = Field(
        None, description="File with the password of the state store's Sentinels, where they have one."
    )
    cache_sentinel_password_file: FilePath | None = Field(
        None, description="File with the password of the cache store's Sentinels, where they have one."
    )
    cache_mb: Annotated[int, Field(ge=16)] = Field(512, description="Memory of the embedded cache store, in MiB.")
    state_timeout_s: Seconds = Field(1.0, description="Timeout of the state store; beyond it callers get 503.")
    cache_timeout_s: Seconds = Field(0.05, description="Timeout of a cache look-up; beyond it the cache is bypassed.")


class SecretSettings(SettingsTable):
    """The master secret, from which the keys for sealing, digests and the audit chain are derived; the signing key."""

    master_file: FilePath | None = Field(
        None,
        description="File with at least 32 bytes, the same on every machine. Left out: data_dir/secrets/master, "
        "created when absent (with embedded stores only).",
    )
    signing_file: FilePath | None = Field(
        None,
        description="File with the Ed25519 private key (PEM) that signs exports and statements about receipts; the "
        "same on every machine of one gateway. Left out: data_dir/secrets/signing, created when first needed.",
    )
    other_master_files: Annotated[tuple[FilePath, ...], Field(strict=False)] = Field(
        (),
        description="Files of masters that read and do not seal: the next one before it takes over, and those that it "
        "replaced (docs/operating.md).",
    )
