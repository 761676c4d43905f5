"""What the settings say about calls and the cache, as the flow and the commands read it: one source for both."""

from gateway.core import sealing
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.core.rules import rule_set
from gateway.flow.cache import SealingKeys
from gateway.settings import Settings


def parsing_rules(settings: Settings) -> ParseConfig:
    """What parsing needs to know, with the rules by which calls share an answer."""
    request, cache = settings.request, settings.cache
    canonical = rule_set(cache.level, cache.rules)
    return ParseConfig(settings.models, request.max_tokens, request.defaults, canonical)


def cache_config(settings: Settings, master: bytes) -> CacheConfig:
    """Where answers live, for whom and how long."""
    cache = settings.cache
    return CacheConfig(
        secret=sealing.derive_key(master, "cache-addresses"),
        upstream=settings.upstream.url,
        enabled=cache.enabled,
        classes=cache.classes,
        share=cache.share,
        ttl_s=cache.ttl_s,
        stale_if_error_s=cache.stale_if_error_s,
        rule_set=parsing_rules(settings).rule_set.name,
    )


def cache_keys(master: bytes) -> SealingKeys:
    """The keys under which what is kept is sealed."""
    return SealingKeys(*(sealing.derive_key(master, purpose) for purpose in ("cache-entries", "records", "receipts")))
