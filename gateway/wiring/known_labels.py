"""The values of labels that only the settings and the tables of endpoints and policies know, for series at zero."""

from collections.abc import Mapping, Sequence

from gateway import endpoints
from gateway.core.policies import policies
from gateway.settings import Settings
from gateway.wiring.cache_config import parse_config


def known_labels(settings: Settings) -> Mapping[str, Sequence[str]]:
    """By the name of the label."""
    return {
        "endpoint": [endpoint.name for endpoint in endpoints.ENDPOINTS],
        "policy": [policy.name for policy in policies(settings.policy.model_dump())],
        "model": list(settings.models),
        "class": list(settings.cache.spot_check_classes),
        "rule_set": [parse_config(settings).rule_set.name],
    }
