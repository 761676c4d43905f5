"""What the gateway tells any key holder about itself: why a call is treated as it is, and what a receipt says.

Each is one request of its user's rate. Nothing is sent upstream, charged in units, or looked up in the cache, so an
explanation never reveals what others have asked. A declared sequence of concern is only parsed here: it needs no
approval and no audit record, because nothing happens that one would be about.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import endpoints
from gateway.core.explanation import explanation_of
from gateway.core.policy import Policy
from gateway.core.problems import CALL_INVALID, STATE_UNAVAILABLE, FieldError, Problem
from gateway.core.types import Principal
from gateway.flow.admission import Admission
from gateway.flow.authenticate import Authenticator
from gateway.flow.context import RequestContext
from gateway.flow.planner import Planner
from gateway.flow.receipt_desk import ReceiptDesk
from gateway.flow.request_parser import RequestParser
from gateway.flow.runtime import Runtime
from gateway.ports import RawRequest

DEFAULT_ENDPOINT = "generate_tensor"
SIGNED = "signed"
_BOOLEANS = {"true": True, "false": False}


class Explainer:
    """Explanations by this worker's settings, purges and namespaces, for the caller's key."""

    def __init__(
        self,
        authenticator: Authenticator,
        admission: Admission,
        parser: RequestParser,
        policies: Sequence[Policy],
        planner: Planner,
        receipt_desk: ReceiptDesk,
        max_entry_bytes: int,
        runtime: Runtime,
    ) -> None:
        self._authenticator, self._admission, self._parser = authenticator, admission, parser
        self._planner, self._receipt_desk = planner, receipt_desk
        self._policies = tuple(policy for policy in policies if not policy.audited)
        self._max_entry_bytes, self._clock = max_entry_bytes, runtime.clock

    async def admit(self, raw: RawRequest, context: RequestContext) -> tuple[Principal, Mapping[str, str]]:
        """Authenticate and charge a request before it is read; returns its caller and RateLimit fields."""
        context.who = who = await self._authenticator.authenticate(raw.header("Authorization"))
        rate = await self._admission.admit(who, context)
        if context.state_lost:
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"})
        return who, rate

    async def call(self, raw: RawRequest, who: Principal, context: RequestContext) -> Mapping[str, Any]:
        """The explanation of the body; raises the problems that the same body would get at its endpoint.

        The query names the endpoint and whether coordinates are shown in full; the rest belongs to the call.
        """
        context.endpoint = "explain"
        endpoint, in_full, query = _read_query(raw.query)
        config = self._parser.config
        with self._parser.reservation(who.user) as room:
            call, of_body = await self._parser.explained(endpoint, raw, query, room, who.user, in_full=in_full)
            # A key may have ended while its body came.
            context.who = who = await self._authenticator.authenticate(raw.header("Authorization"))
            for policy in self._policies:
                decision = policy.decide(call, who, self._clock.now())
                if decision is not None and not decision.permitted and policy.mode == "enforce":
                    raise Problem(decision.problem_type, decision.reason)
            plan = self._planner.explain(endpoint, call, who, raw.header("Cache-Control"))
            context.outcome = "answered"
            limit, rules = self._max_entry_bytes, config.rule_set
            return explanation_of(call, of_body, who, plan, self._planner.config, rules, limit)

    def receipt(self, identifier: str, context: RequestContext, query: str = "") -> Mapping[str, Any]:
        """What a receipt says, with `?signed` as a statement, too; any key holder may read any receipt.

        It holds digests of call and answer: who has either can tell that it is the one.
        """
        context.endpoint = "receipts"
        if query not in ("", SIGNED):
            raise Problem(CALL_INVALID, f"The only query parameter here is {SIGNED}.")
        found = self._receipt_desk.signed(identifier) if query else self._receipt_desk.read(identifier)
        context.outcome = "answered"
        return found

    def statement(self, text: str, context: RequestContext) -> Mapping[str, Any]:
        """Whether a statement about a receipt is genuine, what it says, and whose it is."""
        context.endpoint = "receipts"
        checked = self._receipt_desk.check(text)
        context.outcome = "answered"
        return checked

    def signing_key(self, context: RequestContext) -> Mapping[str, Any]:
        """The public key of this gateway, and those that it trusts."""
        context.endpoint = "receipts"
        told = self._receipt_desk.public_key()
        context.outcome = "answered"
        return told


def _read_query(query: str) -> tuple[endpoints.AnyEndpoint, bool, str]:
    """The endpoint, whether coordinates are shown in full, and the rest of the query, for the endpoint itself."""
    own: dict[str, str] = {}
    rest: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in ("endpoint", "canonical"):
            own[name] = value
        elif part:
            rest.append(part)
    endpoint = endpoints.find(f"/api/v1/{own.get('endpoint', DEFAULT_ENDPOINT)}")
    in_full = _BOOLEANS.get(own.get("canonical", "false"))
    errors = []
    if endpoint is None:
        names = ", ".join(each.name for each in endpoints.ENDPOINTS)
        errors.append(FieldError("", f"endpoint, in the query, must be one of: {names}"))
    if in_full is None:
        errors.append(FieldError("", "canonical, in the query, must be true or false"))
    if endpoint is None or in_full is None:
        raise Problem(CALL_INVALID, errors=errors)
    return endpoint, in_full, "&".join(rest)
