"""What the settings say about calls and the cache, as the flow and the commands read it: one source for both."""

from gateway.core import envelope
from gateway.core.caching import Scheme
from gateway.core.endpoint import Rules
from gateway.core.rules import rule_set
from gateway.flow.recall import Keys
from gateway.settings import Settings


def parsing_rules(settings: Settings) -> Rules:
    """What parsing needs to know, with the rules by which calls share an answer."""
    request, cache = settings.request, settings.cache
    canonical = rule_set(cache.level, cache.rules)
    return Rules(settings.models, request.max_tokens, request.defaults, canonical)


def scheme(settings: Settings, master: bytes) -> Scheme:
    """Where answers live, for whom and how long."""
    cache = settings.cache
    return Scheme(
        secret=envelope.derive(master, "cache-addresses"),
        upstream=settings.upstream.url,
        enabled=cache.enabled,
        classes=cache.classes,
        share=cache.share,
        ttl_s=cache.ttl_s,
        stale_if_error_s=cache.stale_if_error_s,
        rule_set=parsing_rules(settings).canonical.name,
    )


def cache_keys(master: bytes) -> Keys:
    """The keys under which what is kept is sealed."""
    return Keys(*(envelope.derive(master, purpose) for purpose in ("cache-entries", "records", "receipts")))
