"""What the gateway tells about itself to whoever holds a key: why a call is what it is, what a receipt says.

Nothing is sent upstream, charged, counted against a rate, or looked up in the cache, so an explanation never tells
what others have asked. A declared sequence of concern is only parsed here, whoever asks: no approval is needed and no
record is written, because nothing happens that one would be about.
"""

from collections.abc import Mapping
from typing import Any

from gateway import endpoints
from gateway.core.cache_plan import CacheConfig, plan_for
from gateway.core.endpoint import ParseConfig
from gateway.core.explanation import ExplainedCall, explanation
from gateway.core.policies import models
from gateway.core.problems import CALL_INVALID, UNKNOWN_RECEIPT, FieldError, Problem
from gateway.flow.authenticate import Authenticator
from gateway.flow.cache import AnswerCache
from gateway.flow.context import RequestContext
from gateway.flow.invalidation_poller import InvalidationPoller
from gateway.flow.request_body import read_body
from gateway.ports import Clock, RawRequest

DEFAULT_ENDPOINT = "generate_tensor"
_SWITCH = {"true": True, "false": False}


class Explainer:
    """Explanations as one worker gives them: with its settings, its view of purges and namespaces, the caller's key."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        poller: InvalidationPoller,
        recall: AnswerCache,
        clock: Clock,
        cache_config: CacheConfig,
        rules: ParseConfig,
        max_body_bytes: int,
        max_entry_bytes: int,
    ) -> None:
        self._authenticator, self._poller, self._recall, self._clock = authenticator, poller, recall, clock
        self._cache_config, self._rules = cache_config, rules
        self._max_body_bytes, self._max_entry_bytes = max_body_bytes, max_entry_bytes

    async def call(self, raw: RawRequest, context: RequestContext) -> Mapping[str, Any]:
        """The explanation of the body; raises the problems that the same body would meet at its endpoint.

        The query has the endpoint's name and whether coordinates are wanted in full; the rest is the call's own.
        """
        context.endpoint = "explain"
        context.who = who = await self._authenticator.principal(raw.header("Authorization"))
        endpoint, in_full, query = _read_query(raw.query)
        body = await read_body(raw, min(self._max_body_bytes, endpoint.max_bytes))
        what = ExplainedCall.of(endpoint, body, query, self._rules)
        refused = models.decide(what.call, who, self._clock.now())
        if refused is not None:
            raise Problem(refused.kind, refused.reason)
        plan = plan_for(
            what.call,
            who,
            self._cache_config,
            self._poller.purge_state(),
            self._poller.namespace,
            endpoint.cacheable,
            raw.header("Cache-Control"),
        )
        canonical = self._rules.rule_set
        context.outcome = "answered"
        return explanation(what, who, plan, self._cache_config, canonical, self._max_entry_bytes, in_full=in_full)

    async def receipt(self, raw: RawRequest, context: RequestContext, identifier: str) -> Mapping[str, Any]:
        """What a receipt says; any holder of a key may read any receipt, because it holds nothing of call or answer."""
        context.endpoint = "receipts"
        context.who = await self._authenticator.principal(raw.header("Authorization"))
        found = self._recall.receipt(identifier)
        if found is None:
            raise Problem(UNKNOWN_RECEIPT)
        context.outcome = "answered"
        return {"receipt": identifier, **found}


def _read_query(query: str) -> tuple[endpoints.AnyEndpoint, bool, str]:
    """The endpoint that is meant, whether coordinates are wanted in full, and what is left for the endpoint itself."""
    own: dict[str, str] = {}
    rest: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in ("endpoint", "canonical"):
            own[name] = value
        elif part:
            rest.append(part)
    endpoint = endpoints.find(f"/api/v1/{own.get('endpoint', DEFAULT_ENDPOINT)}")
    in_full = _SWITCH.get(own.get("canonical", "false"))
    errors = []
    if endpoint is None:
        names = ", ".join(each.name for each in endpoints.ENDPOINTS)
        errors.append(FieldError("", f"endpoint, in the query, must be one of: {names}"))
    if in_full is None:
        errors.append(FieldError("", "canonical, in the query, must be true or false"))
    if endpoint is None or in_full is None:
        raise Problem(CALL_INVALID, errors=errors)
    return endpoint, in_full, "&".join(rest)
