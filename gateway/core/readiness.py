"""What `/readyz` may say: faults of one instance, for which it gets no requests, and lost parts that all share."""

from collections.abc import Mapping
from dataclasses import dataclass

OWN_FAULTS: Mapping[str, str] = {
    "starting": "it has not started yet",
    "draining": "it is stopping, and finishes what it has begun",
    "loops": "a background loop of it fails",
    "poller": "it has not asked the stores for changes lately",
    "descriptors": "it has no file descriptor left",
    "disk": "the disk under its embedded state store or its audit file is full",
}
SHARED_PARTS: Mapping[str, str] = {
    "state": "the state store is lost, so only hits of known keys are served",
    "cache": "the cache store is lost, so every call is computed",
    "upstream": "the upstream fails or refuses every key, so only hits are served",
}


@dataclass(frozen=True, slots=True)
class ReadyState:
    """Names of `OWN_FAULTS` and of `SHARED_PARTS`."""

    faults: tuple[str, ...]
    degraded: tuple[str, ...]
