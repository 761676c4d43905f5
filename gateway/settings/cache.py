"""Settings of the cache: which answers are kept, shared with whom, and for how long."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gateway.settings.table import Count, Seconds, SettingsTable, Text


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
    upstream_no_store: Literal["obey", "ignore"] = Field(
        "obey",
        description="Cache-Control: no-store on an upstream's answer: obey keeps it out of the shared cache.",
    )
    check_echo: bool = Field(
        True,
        description="Whether an answer that changes what was sent (other tracks, unmasked positions) is doubtful, and "
        "so not cached; compared by value. Switch it off if your upstream is known to do so.",
    )
    max_entry_bytes: Count = Field(16777216, description="Larger answers are not cached.")
    namespace_max_bytes: Count = Field(268435456, description="Maximum size of one namespace, in the state store.")
    share: Literal["organisation", "team", "user"] = Field(
        "organisation",
        description="Who shares cached answers, and so can learn by a hit that others have asked the same.",
    )
    trusted_signers: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        (),
        description="Public keys of gateways whose exported namespaces and statements are trusted, as `cache "
        "signing-key` prints them there; this gateway's own always is.",
    )
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
