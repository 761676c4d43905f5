"""`cache explain`: how the gateway treats a call.

The explanation is that of `POST /gateway/v1/explain`, plus the cache key, which needs the master secret. Nothing is
sent upstream; only the purge state, the namespaces and the named virtual key are looked up.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import click
import orjson

from gateway import endpoints
from gateway.cli.options import CommandOptions, run, with_options
from gateway.core import cache_plan
from gateway.core.cache_plan import CacheConfig, CachePlan, plan_for
from gateway.core.explanation import ExplainedCall, explanation
from gateway.core.purge_state import PurgeState
from gateway.core.types import KeyRecord, Namespace, Principal
from gateway.ports import StoreUnavailable
from gateway.settings import Settings, master_secret
from gateway.wiring.cache_config import cache_config, parse_config
from gateway.wiring.command_services import open_services

NAMES = tuple(endpoint.name for endpoint in endpoints.ENDPOINTS)
ANYBODY = Principal(KeyRecord("", "", "", "", 0.0))


@dataclass(frozen=True, slots=True)
class ExplainContext:
    """What an explanation depends on besides body and settings; `purge_state` is None if the cache store is lost."""

    who: Principal
    purge_state: PurgeState | None
    namespaces: Mapping[str, Namespace]


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--endpoint", "name", type=click.Choice(NAMES), default="generate_tensor", show_default=True)
@click.option("--canonical", is_flag=True, help="Show coordinates in full, not as shape and digest.")
@click.option("--for", "key_id", help="Explain for the virtual key with this id: its scope, team and user.")
@click.option("--cache-control", help="Explain for a request with this Cache-Control header.")
@with_options
def explain(
    options: CommandOptions, file: BinaryIO, name: str, canonical: bool, key_id: str | None, cache_control: str | None
) -> None:
    """Explain how the gateway treats the body in FILE ("-": standard input): class, rules, cost and cache key."""
    settings = options.settings()
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    rules, terms = parse_config(settings), cache_config(settings, master_secret(settings))
    what = ExplainedCall.of(endpoint, file.read(), "", rules)
    context = run(_look_up(settings, key_id))
    find, who = context.namespaces.get, context.who
    plan = plan_for(what.call, who, terms, context.purge_state, find, endpoint.cacheable, cache_control)
    limit = settings.cache.max_entry_bytes
    about = explanation(what, who, plan, terms, rules.rule_set, limit, in_full=canonical)
    about["key"], about["former_key"] = _cache_key(plan, who, terms), plan.former_key
    options.show(about, _lines(about))


async def _look_up(settings: Settings, key_id: str | None) -> ExplainContext:
    async with open_services(settings) as services:
        who = ANYBODY if key_id is None else Principal(await services.key_admin.key(key_id))
        purge_state: PurgeState | None = None
        namespaces: Mapping[str, Namespace] = {}
        with suppress(StoreUnavailable):
            purge_state = await services.purge_store.purge_state()
        with suppress(StoreUnavailable):
            namespaces = await services.namespace_store.namespaces()
        return ExplainContext(who, purge_state, namespaces)


def _cache_key(plan: CachePlan, who: Principal, terms: CacheConfig) -> str | None:
    """The cache key; None if it depends on the caller and no key is named."""
    known = (
        who is not ANYBODY or plan.namespace is not None or cache_plan.sharing_scope(who, terms)[0] == "organisation"
    )
    return plan.cache_key if plan.storable and known else None


def _lines(about: Mapping[str, Any]) -> list[str]:
    alike = about["shared_sha256"] == about["call_sha256"]
    facts = {
        "call": f"{about['endpoint']} of {about['model']}: {about['tokens']} tokens, {about['units']} units",
        "class": f"{about['class']}: {about['reason']}",
        "exact if": about["remedy"] and f"you {about['remedy']}",
        "concern": "declared: cached apart; needs an approval, and is written to the audit record"
        if about["flagged"]
        else None,
        "stored": f"{'yes' if about['stored'] else 'no'}: {about['why']}",
        "namespace": about["namespace"],
        "shared": about["shared_with"],
        "digest": f"{about['call_sha256']}, as on its receipt",
        "shared as": None if alike else about["shared_sha256"],
        "key": about["key"] or _no_key(about),
        "former key": about["former_key"],
        "rules": about["rule_set"],
    }
    lines = [f"{name:<10} {value}" for name, value in facts.items() if value is not None]
    lines += (
        ["", "Conditions for the class exact:", *map(_question, about["determinism"])] if about["determinism"] else []
    )
    lines += [
        "",
        "Rules that make calls equal (+: in force, *: changes this call, or would):",
        *map(_rule, about["rules"]),
    ]
    return [*lines, "", orjson.dumps(about["canonical"]).decode()]


def _question(question: Mapping[str, Any]) -> str:
    return f"  {'yes' if question['holds'] else 'NO':<4} {question['asks']} ({question['says']})"


def _no_key(about: Mapping[str, Any]) -> str:
    return "depends on the caller: --for KEY_ID" if about["stored"] else "none"


def _rule(rule: Mapping[str, Any]) -> str:
    flags = ("+" if rule["in_force"] else " ") + ("*" if rule["changes"] else " ")
    return f"  {flags} {rule['name']:<22} {rule['level']:<8} {rule['what']}"
