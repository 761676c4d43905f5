"""What the settings say about calls and the cache, as the flow and the commands read it: one source for both."""

from dataclasses import dataclass

from gateway.core import sealing
from gateway.core.cache_plan import CacheConfig
from gateway.core.endpoint import ParseConfig
from gateway.core.rules import rule_set
from gateway.core.sampler_checks import skipped_checks
from gateway.core.signatures import Signer, read_public_key
from gateway.flow.receipt_desk import SigningKeyUnusable
from gateway.settings import InvalidSettings, Settings, signing_key


@dataclass(frozen=True, slots=True)
class SealingKeys:
    """Each derived for its purpose: sealing cache entries, sealing namespace entries, encrypting receipts."""

    entries: bytes
    records: bytes
    receipts: bytes


def parse_config(settings: Settings) -> ParseConfig:
    """What parsing needs to know, with the rules by which calls share an answer."""
    request, cache = settings.request, settings.cache
    return ParseConfig(
        settings.models,
        request.max_tokens,
        request.defaults,
        rule_set(cache.level, cache.rules),
        skipped_checks=skipped_checks(request.checks),
        max_answer_bytes=settings.upstream.max_answer_bytes,
        max_unpacked_bytes=request.max_unpacked_bytes,
    )


def cache_config(settings: Settings, master: bytes) -> CacheConfig:
    """Where answers are cached, for whom and how long."""
    cache = settings.cache
    return CacheConfig(
        secret=sealing.derive_key(master, "cache-addresses"),
        upstream=settings.upstream.url,
        enabled=cache.enabled,
        classes=cache.classes,
        share=cache.share,
        ttl_s=cache.ttl_s,
        stale_if_error_s=cache.stale_if_error_s,
        rule_set=parse_config(settings).rule_set.name,
        check_echo=cache.check_echo,
    )


def signer(settings: Settings) -> Signer:
    """The key that signs exports and statements, made where there is none yet; raises SigningKeyUnusable."""
    try:
        return signing_key(settings)
    except (InvalidSettings, OSError) as error:
        raise SigningKeyUnusable(str(error)) from None


def trusted_signers(settings: Settings) -> frozenset[bytes]:
    """The public keys of gateways whose files and statements are trusted."""
    keys = map(read_public_key, settings.cache.trusted_signers)
    return frozenset(key for key in keys if key is not None)


def sealing_keys(master: bytes) -> SealingKeys:
    """The keys under which stored answers are sealed."""
    return SealingKeys(*(sealing.derive_key(master, purpose) for purpose in ("cache-entries", "records", "receipts")))
