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
    first_byte_s: Seconds = Field(300.0, description="Deadline for the first byte of an answer.")
    total_s: Seconds = Field(
        600.0, description="Deadline for a whole call: waiting for a place at the upstream, and all attempts together."
    )
    max_concurrent: Count = Field(
        64,
        description="Concurrent upstream calls, per worker, and at most so many per upstream key; refusals of a key "
        "lower its number (AIMD).",
    )
    max_answer_bytes: Count = Field(67108864, description="Larger answers are refused with 422, once computed.")
    large_answers: Count = Field(
        4, description="Answers of more than a mebibyte that are received at the same time, per worker; others wait."
    )
    keepalive_s: Seconds = Field(10.0, description="Idle connections to the upstream are closed after this time.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(2, description="Retries per call.")
    cooldown_s: Seconds = Field(
        10.0,
        description="Longest rest of a key after 402s, or 429s without Retry-After; the first is a second, and they "
        "double while refusals go on.",
    )
    ask_pickle: bool = Field(False, description="Reserved; must be false: only JSON is requested.")
    keys: Annotated[tuple[UpstreamKeySettings, ...], Field(strict=False)] = Field((), description="The upstream keys.")


class BreakerSettings(SettingsTable):
    """The circuit breakers in front of the upstream, of all and of each caller; per worker."""

    failures: Count = Field(
        5,
        description="Consecutive failures that open the circuit breaker: a caller's own, or everybody's where two "
        "callers failed, or one while nobody else succeeded within a minute.",
    )
    open_s: Seconds = Field(
        10.0,
        description="Longest time that the circuit breaker stays open before a half-open probe; the first is a second, "
        "and they double while probes fail.",
    )
