"""Settings of what callers meet: listeners, what is accepted of a request, what is logged."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gateway.settings.table import Ceiling, Count, Port, Seconds, SettingsTable, Text


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
    connections_per_address: Ceiling = Field(
        None, description="Connections of one address, per worker. Behind a proxy all callers have one address."
    )
    unsent_bytes: Count = Field(
        268435456,
        description="Bytes of answers above 64 kB that are being sent, per worker; beyond it the caller with the most "
        "loses the oldest.",
    )
    answer_pace: Count = Field(
        16384, description="Bytes a second, over ten seconds, that a caller must take of an answer above 64 kB."
    )
    lame_duck_s: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = Field(
        2.0,
        description="After SIGTERM, how long requests are still accepted while /readyz says 503: longer than it takes "
        "your balancer to notice. 0 where there is none.",
    )
    drain_s: Seconds = Field(20.0, description="After that, how long requests in flight may take to finish.")


class RequestSettings(SettingsTable):
    """What is accepted from callers."""

    max_body_bytes: Count = Field(33554432, description="Larger bodies are refused with 413.")
    bodies_bytes: Count = Field(
        268435456, description="Bytes of bodies in flight, per worker; beyond it bodies wait to be read."
    )
    user_bodies_bytes: Count = Field(
        67108864, description="Of these, bytes of one user's bodies, per worker. Only the user's own bodies wait."
    )
    body_pace: Count = Field(
        16384, description="Bytes a second, over ten seconds, that a body must bring; slower ones get a 408."
    )
    max_tokens: Count = Field(4096, description="Maximum number of tokens of one protein, BOS and EOS included.")
    defaults: Literal["2025-02-14", "2024-06-25"] = Field(
        "2025-02-14", description="Dated set of defaults for the fields that a request leaves out."
    )
    max_unpacked_bytes: Count = Field(
        67108864, description="Maximum size of the packed alignments of one body, all together and unpacked."
    )
    checks: Mapping[str, bool] = Field(
        default_factory=dict,
        description="Switches single sampler checks off (false), by name; docs/endpoints.md lists them.",
    )


class LogSettings(SettingsTable):
    """What is written to standard output."""

    access: bool = Field(True, description="Access log: one JSON line per request, without keys and sequences.")
