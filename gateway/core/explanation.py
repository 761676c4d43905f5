"""Explains a call: its class, rules, digests and cost, and whether its answer is cached.

All of it follows from the call, the settings and the caller's key. Nothing is looked up: an explanation never reveals
whether somebody has asked the same before, and it contains no cache key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import orjson

from gateway.core import cache_plan, determinism
from gateway.core.cache_plan import CacheConfig, CachePlan
from gateway.core.coordinates import as_json
from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.core.rules import RULES, NormalForm, RuleSet
from gateway.core.tracks import TRACKS, effective_steps
from gateway.core.types import Call, Principal

WHY_NOT_STORED: Mapping[str, str] = {
    "disabled": "the settings switch the cache off (cache.enabled)",
    "endpoint": "answers of this endpoint are stored in namespaces only",
    "no-store": "no-store was asked for",
    "exact": "the settings do not cache exact answers (cache.classes)",
    "pinned": "the settings do not cache pinned answers (cache.classes)",
    "sampled": "an answer that is drawn anew each time is stored in pools and namespaces only",
    "unknown": "whether a repeat gets the same answer is unknown; stored in namespaces only",
    "store": "the cache store is unreachable",
}
"""A sentence for every reason for which an answer is not stored."""


@dataclass(frozen=True, slots=True)
class ExplainedCall:
    """A valid body, normalised, and the call it makes."""

    normalized: NormalizedBody
    call: Call

    @classmethod
    def of(cls, endpoint: Endpoint[Any], body: bytes, query: str, rules: ParseConfig) -> "ExplainedCall":
        """Raises the problems of `Endpoint.parse`."""
        return cls(*endpoint.parse_with_body(body, query, rules))


def explanation(
    what: ExplainedCall,
    who: Principal,
    plan: CachePlan,
    cache_config: CacheConfig,
    rule_set: RuleSet,
    max_bytes: int,
    *,
    in_full: bool,
) -> dict[str, Any]:
    """The members of the JSON answer. Coordinates are shown as shape and digest, unless `in_full`."""
    of_body = told_of_body(what.normalized, rule_set, in_full=in_full)
    return explanation_of(what.call, of_body, who, plan, cache_config, rule_set, max_bytes)


def explanation_of(
    call: Call,
    of_body: Mapping[str, Any],
    who: Principal,
    plan: CachePlan,
    cache_config: CacheConfig,
    rule_set: RuleSet,
    max_bytes: int,
) -> dict[str, Any]:
    """The same from the call and what `told_of_body` says."""
    determined = call.determinism
    return {
        "endpoint": call.endpoint,
        "model": call.model,
        "tokens": call.length,
        "units": call.units,
        "flagged": call.flagged,
        "class": determined.cls.value,
        "reason": determined.reason,
        "remedy": determined.remedy,
        "determinism": of_body["determinism"],
        **_storing(call, who, plan, cache_config, max_bytes),
        "call_sha256": call.canonical_digest.hex(),
        "former_call_sha256": call.former_digest.hex() or None,
        "shared_sha256": (call.canonical_digest if plan.namespace is not None else call.cache_digest).hex(),
        "rule_set": rule_set.name,
        "rules": of_body["rules"],
        "canonical": of_body["canonical"],
    }


def told_of_body(normalized: NormalizedBody, rule_set: RuleSet, *, in_full: bool) -> dict[str, Any]:
    """The members of an explanation that follow from the body and the rules alone."""
    return {
        "determinism": list(_conditions(normalized.normal_form)),
        "rules": list(_rules(normalized.normal_form, rule_set)),
        "canonical": _shown(_form(normalized, rule_set), in_full),
    }


def _conditions(form: NormalForm | None) -> Iterator[Mapping[str, Any]]:
    if form is None:
        return
    flag = form["condition_on_coordinates_only"]
    track = form["track"]
    steps = effective_steps(TRACKS[track], form["inputs"], num_steps=form["num_steps"], coordinates_only=flag)
    annealing, strategy = form["temperature_annealing"], form["strategy"]
    for condition in determinism.conditions(track, form["temperature"], annealing, strategy, steps):
        remedy = None if condition.holds else condition.remedy
        yield {"asks": condition.question, "holds": condition.holds, "says": condition.reason, "change": remedy}


def _storing(
    call: Call, who: Principal, plan: CachePlan, cache_config: CacheConfig, max_bytes: int
) -> Mapping[str, Any]:
    share, _ = cache_plan.sharing_scope(who, cache_config)
    return {
        "stored": plan.storable and not plan.frozen,
        "why": _why_stored(plan, max_bytes) if plan.storable else _why_not_stored(call, plan, cache_config),
        "namespace": plan.namespace,
        "shared_with": "everybody who names the namespace" if plan.namespace else share,
    }


def _why_stored(plan: CachePlan, max_bytes: int) -> str:
    if plan.frozen:
        return "the namespace is frozen: it answers from what it has, and nothing is added"
    if plan.namespace is not None:
        return "the first answer is stored in the namespace, and does not expire"
    what = "the first answer is stored" if plan.first_write_wins else "the answer is stored"
    return f"{what} for {plan.ttl_s / 86_400:g} days, unless it is larger than {max_bytes / 2**20:g} MiB"


def _why_not_stored(call: Call, plan: CachePlan, cache_config: CacheConfig) -> str:
    if plan.reason in cache_config.classes and plan.reason == call.determinism.cls:
        return f"this key may not cache {plan.reason} answers (its scope)"
    return WHY_NOT_STORED[plan.reason]


def _rules(form: NormalForm | None, rule_set: RuleSet) -> Iterator[Mapping[str, Any]]:
    """Every rule. One that is not in force is tried on the canonical form: would it change that as well?"""
    changed = {} if form is None else {rule.name: changes for rule, changes in rule_set.trace(form)}
    final = None if form is None else rule_set.apply(form)
    for rule in RULES:
        in_force = rule.apply is None or rule.name in changed
        changes = None
        if rule.apply is not None and final is not None:
            changes = changed[rule.name] if in_force else rule.apply(final) is not final
        yield {
            "name": rule.name,
            "level": rule.level,
            "in_force": in_force,
            "changes": changes,
            "what": rule.what,
            "condition": rule.condition,
        }


def _form(normalized: NormalizedBody, rule_set: RuleSet) -> Mapping[str, Any]:
    """What all calls that share an answer with this one have in common."""
    if normalized.normal_form is None:
        return normalized.body if normalized.canonical is None else normalized.canonical
    return {name: value for name, value in rule_set.apply(normalized.normal_form).items() if name != "length"}


def _shown(value: Any, in_full: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _shown(inner, in_full) for name, inner in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    single = np.ascontiguousarray(value, dtype=np.float32)
    if not in_full:
        return {"shape": list(single.shape), "float32_sha256": sha256(single.tobytes()).hexdigest()}
    # As in what is forwarded: NaN becomes null. No loop over the numbers runs in Python.
    return orjson.loads(orjson.dumps(as_json(single), option=orjson.OPT_SERIALIZE_NUMPY))
