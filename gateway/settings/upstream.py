"""Settings of the upstream: its address, keys, deadlines and circuit breaker."""

from typing import Annotated

from pydantic import Field

from gateway.settings.table import Count, FilePath, Seconds, SettingsTable, Text


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
