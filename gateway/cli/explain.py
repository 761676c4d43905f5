"""Why a call is what it is to the cache, and what a receipt says: `cache explain` and `cache receipt`.

Explanations are those of `POST /gateway/v1/explain`; here, where the gateway's secret is, with the cache key. Nothing
is sent upstream, and nothing is looked up but the marks of purges, the namespaces, and the key that is named.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

import click
import orjson

from gateway import endpoints
from gateway.cli.options import CommandError, CommandOptions, run, with_options
from gateway.core import cache_plan, receipts
from gateway.core.cache_plan import CacheConfig, CachePlan, plan_for
from gateway.core.explanation import ExplainedCall, explanation
from gateway.core.purge_state import PurgeState
from gateway.core.types import KeyRecord, Namespace, Principal
from gateway.ports import StoreUnavailable
from gateway.settings import Settings, master_secret
from gateway.wiring.cache_config import cache_config, cache_keys, parsing_rules
from gateway.wiring.command_services import open_services

NAMES = tuple(endpoint.name for endpoint in endpoints.ENDPOINTS)
DASHED = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""For a command whose argument may begin with a dash, as one in 64 identifiers does."""
ANYBODY = Principal(KeyRecord("", "", "", "", 0.0))


@dataclass(frozen=True, slots=True)
class ExplainContext:
    """What an explanation depends on besides body and settings; marks are None where the cache store is away."""

    who: Principal
    purge_state: PurgeState | None
    namespaces: Mapping[str, Namespace]


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--endpoint", "name", type=click.Choice(NAMES), default="generate_tensor", show_default=True)
@click.option("--canonical", is_flag=True, help="Coordinates in full, not as shape and digest.")
@click.option("--for", "key_id", help="As for this virtual key (its id): its scope, its team, its user.")
@click.option("--cache-control", help="As with this Cache-Control header.")
@with_options
def explain(
    options: CommandOptions, file: BinaryIO, name: str, canonical: bool, key_id: str | None, cache_control: str | None
) -> None:
    """What the gateway makes of the body in FILE ("-" for standard input), rule by rule, and its cache key."""
    settings = options.settings()
    endpoint = endpoints.find(f"/api/v1/{name}")
    assert endpoint is not None
    rules, terms = parsing_rules(settings), cache_config(settings, master_secret(settings))
    what = ExplainedCall.of(endpoint, file.read(), "", rules)
    around = run(_surroundings(settings, key_id))
    find, who = around.namespaces.get, around.who
    plan = plan_for(what.call, who, terms, around.purge_state, find, endpoint.cacheable, cache_control)
    limit = settings.cache.max_entry_bytes
    about = explanation(what, who, plan, terms, rules.canonical, limit, in_full=canonical)
    about["key"] = _cache_key(plan, who, terms)
    options.show(about, _lines(about))


@click.command(context_settings=DASHED)
@click.argument("identifier")
@with_options
def receipt(options: CommandOptions, identifier: str) -> None:
    """What the receipt of an answer says: model, call, class, when and where it was computed, digest of the answer."""
    found = receipts.read(cache_keys(master_secret(options.settings())).receipts, identifier)
    if found is None:
        raise CommandError("This gateway made no receipt with that identifier.")
    about = {"receipt": identifier, **found.document()}
    options.show(about, [f"{name:<14} {value}" for name, value in about.items()])


async def _surroundings(settings: Settings, key_id: str | None) -> ExplainContext:
    async with open_services(settings) as parts:
        who = ANYBODY if key_id is None else Principal(await parts.key_admin.key(key_id))
        purge_state: PurgeState | None = None
        namespaces: Mapping[str, Namespace] = {}
        with suppress(StoreUnavailable):
            purge_state = await parts.purge_store.purge_state()
        with suppress(StoreUnavailable):
            namespaces = await parts.namespace_store.namespaces()
        return ExplainContext(who, purge_state, namespaces)


def _cache_key(plan: CachePlan, who: Principal, terms: CacheConfig) -> str | None:
    """The address of the entry or record; none where it depends on who asks and nobody is named."""
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
        "concern": "declared: kept apart; needs an approval, and is put on record" if about["flagged"] else None,
        "stored": f"{'yes' if about['stored'] else 'no'}: {about['why']}",
        "namespace": about["namespace"],
        "shared": about["shared_with"],
        "digest": f"{about['call_sha256']}, as on its receipt",
        "shares by": None if alike else about["shared_sha256"],
        "key": about["key"] or _no_key(about),
        "rules": about["rule_set"],
    }
    lines = [f"{name:<10} {value}" for name, value in facts.items() if value is not None]
    lines += ["", "What decides the class:", *map(_question, about["determinism"])] if about["determinism"] else []
    lines += ["", "What makes calls one (+ in force, * changes this call, or would):", *map(_rule, about["rules"])]
    return [*lines, "", orjson.dumps(about["canonical"]).decode()]


def _question(question: Mapping[str, Any]) -> str:
    return f"  {'yes' if question['holds'] else 'NO':<4} {question['asks']} ({question['says']})"


def _no_key(about: Mapping[str, Any]) -> str:
    return "depends on who asks: --for KEY_ID" if about["stored"] else "none"


def _rule(rule: Mapping[str, Any]) -> str:
    purge_state = ("+" if rule["in_force"] else " ") + ("*" if rule["changes"] else " ")
    return f"  {purge_state} {rule['name']:<22} {rule['level']:<8} {rule['what']}"
