"""What the gateway tells about itself to whoever holds a key: why a call is what it is, what a receipt says.

Nothing is sent upstream, charged, counted against a rate, or looked up in the cache, so an explanation never tells
what others have asked. A declared sequence of concern is only parsed here, whoever asks: no approval is needed and no
record is written, because nothing happens that one would be about.
"""

from collections.abc import Mapping
from typing import Any

from gateway import endpoints
from gateway.core.caching import Scheme, plan_of
from gateway.core.endpoint import Rules
from gateway.core.explanation import Explained, explanation
from gateway.core.policies import models
from gateway.core.problems import CALL_INVALID, UNKNOWN_RECEIPT, Fault, Problem
from gateway.flow.body import read_body
from gateway.flow.keyring import Keyring
from gateway.flow.recall import Recall
from gateway.flow.trace import Trace
from gateway.flow.watch import Watch
from gateway.ports import Clock, RawRequest

DEFAULT_ENDPOINT = "generate_tensor"
_SWITCH = {"true": True, "false": False}


class Explain:
    """Explanations as one worker gives them: with its settings, its view of purges and namespaces, the caller's key."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        watch: Watch,
        recall: Recall,
        clock: Clock,
        scheme: Scheme,
        rules: Rules,
        max_body_bytes: int,
        max_entry_bytes: int,
    ) -> None:
        self._keyring, self._watch, self._recall, self._clock = keyring, watch, recall, clock
        self._scheme, self._rules = scheme, rules
        self._max_body_bytes, self._max_entry_bytes = max_body_bytes, max_entry_bytes

    async def call(self, raw: RawRequest, trace: Trace) -> Mapping[str, Any]:
        """The explanation of the body; raises the problems that the same body would meet at its endpoint.

        The query has the endpoint's name and whether coordinates are wanted in full; the rest is the call's own.
        """
        trace.endpoint = "explain"
        trace.who = who = await self._keyring.principal(raw.header("Authorization"))
        endpoint, in_full, query = _read_query(raw.query)
        body = await read_body(raw, min(self._max_body_bytes, endpoint.max_bytes))
        what = Explained.of(endpoint, body, query, self._rules)
        refused = models.decide(what.call, who, self._clock.now())
        if refused is not None:
            raise Problem(refused.kind, refused.reason)
        plan = plan_of(
            what.call,
            who,
            self._scheme,
            self._watch.marks(),
            self._watch.namespace,
            endpoint.cacheable,
            raw.header("Cache-Control"),
        )
        canonical = self._rules.canonical
        trace.outcome = "answered"
        return explanation(what, who, plan, self._scheme, canonical, self._max_entry_bytes, in_full=in_full)

    async def receipt(self, raw: RawRequest, trace: Trace, identifier: str) -> Mapping[str, Any]:
        """What a receipt says; any holder of a key may read any receipt, because it holds nothing of call or answer."""
        trace.endpoint = "receipts"
        trace.who = await self._keyring.principal(raw.header("Authorization"))
        found = self._recall.receipt(identifier)
        if found is None:
            raise Problem(UNKNOWN_RECEIPT)
        trace.outcome = "answered"
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
    faults = []
    if endpoint is None:
        names = ", ".join(each.name for each in endpoints.ENDPOINTS)
        faults.append(Fault("", f"endpoint, in the query, must be one of: {names}"))
    if in_full is None:
        faults.append(Fault("", "canonical, in the query, must be true or false"))
    if endpoint is None or in_full is None:
        raise Problem(CALL_INVALID, faults=faults)
    return endpoint, in_full, "&".join(rest)
