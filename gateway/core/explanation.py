"""Why a call is what it is to the gateway: its class, its rules, its digests, its cost, whether an answer is kept.

Everything here follows from the call, the settings and the caller's key. Nothing is looked up: an explanation never
tells whether somebody has asked the same before, and it holds no address of an entry.
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

WHY_NOT: Mapping[str, str] = {
    "disabled": "the settings switch the cache off (cache.enabled)",
    "endpoint": "answers of this endpoint are kept in namespaces only",
    "no-store": "no-store was asked for",
    "exact": "the settings keep no exact answers (cache.classes)",
    "pinned": "the settings keep no pinned answers (cache.classes)",
    "sampled": "an answer that is drawn anew each time is kept in pools and namespaces only",
    "unknown": "whether a repeat would answer the same is not known; kept in namespaces only",
    "store": "the cache store is out of reach just now",
}
"""A sentence for every reason for which an answer is not kept."""


@dataclass(frozen=True, slots=True)
class ExplainedCall:
    """A valid body, normalised, and the call that it is."""

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
    canonical: RuleSet,
    max_bytes: int,
    *,
    in_full: bool,
) -> dict[str, Any]:
    """All of it as JSON members. Coordinates are told by shape and digest, unless `in_full`."""
    call, normalized = what.call, what.normalized
    verdict = call.determinism
    return {
        "endpoint": call.endpoint,
        "model": call.model,
        "tokens": call.length,
        "units": call.units,
        "flagged": call.flagged,
        "class": verdict.cls.value,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
        "determinism": list(_answers(normalized.normal_form)),
        **_keeping(call, who, plan, cache_config, max_bytes),
        "call_sha256": call.canonical.hex(),
        "shared_sha256": (call.canonical if plan.namespace is not None else call.cache_digest).hex(),
        "rule_set": canonical.name,
        "rules": list(_rules(normalized.normal_form, canonical)),
        "canonical": _shown(_form(normalized, canonical), in_full),
    }


def _answers(form: NormalForm | None) -> Iterator[Mapping[str, Any]]:
    if form is None:
        return
    flag = form["condition_on_coordinates_only"]
    track = form["track"]
    steps = effective_steps(TRACKS[track], form["inputs"], num_steps=form["num_steps"], coordinates_only=flag)
    asked = determinism.questions(track, form["temperature"], form["temperature_annealing"], form["strategy"], steps)
    for question in asked:
        change = None if question.holds else question.change
        yield {"asks": question.asks, "holds": question.holds, "says": question.says, "change": change}


def _keeping(
    call: Call, who: Principal, plan: CachePlan, cache_config: CacheConfig, max_bytes: int
) -> Mapping[str, Any]:
    kept = plan.storable and not plan.frozen
    share, _ = cache_plan.sharing_scope(who, cache_config)
    return {
        "stored": kept,
        "why": _kept_how(plan, max_bytes) if plan.storable else _why_not(call, plan, cache_config),
        "namespace": plan.namespace,
        "shared_with": "everybody who names the namespace" if plan.namespace else share,
    }


def _kept_how(plan: CachePlan, max_bytes: int) -> str:
    if plan.frozen:
        return "the namespace is frozen: it answers from its record, and nothing is added"
    if plan.namespace is not None:
        return "the first answer is kept in the record of the namespace, for good"
    what = "the first answer is kept" if plan.first_write_wins else "the answer is kept"
    return f"{what} for {plan.ttl_s / 86_400:g} days, unless it is larger than {max_bytes / 2**20:g} MiB"


def _why_not(call: Call, plan: CachePlan, cache_config: CacheConfig) -> str:
    if plan.reason in cache_config.classes and plan.reason == call.determinism.cls:
        return f"this key keeps no {plan.reason} answers (its scope)"
    return WHY_NOT[plan.reason]


def _rules(form: NormalForm | None, canonical: RuleSet) -> Iterator[Mapping[str, Any]]:
    """Every rule there is. What one that is not in force would change is found on the form under those that are."""
    changed = {} if form is None else {rule.name: changes for rule, changes in canonical.context(form)}
    final = None if form is None else canonical.apply(form)
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


def _form(normalized: NormalizedBody, canonical: RuleSet) -> Mapping[str, Any]:
    """What all calls have in common that share an answer with this one."""
    if normalized.normal_form is None:
        return normalized.body
    return {name: value for name, value in canonical.apply(normalized.normal_form).items() if name != "length"}


def _shown(value: Any, in_full: bool) -> Any:
    if isinstance(value, Mapping):
        return {name: _shown(inner, in_full) for name, inner in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    single = np.ascontiguousarray(value, dtype=np.float32)
    if not in_full:
        return {"shape": list(single.shape), "float32_sha256": sha256(single.tobytes()).hexdigest()}
    # As the forwarding does it: NaN becomes null, and no number is walked in Python.
    return orjson.loads(orjson.dumps(as_json(single), option=orjson.OPT_SERIALIZE_NUMPY))
