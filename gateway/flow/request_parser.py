"""From a request's bytes to a call: read, checked, normalised; or recognised as bytes that were parsed before."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.core.endpoint import AT_ONCE_UP_TO, FAULTS_AT_ONCE_UP_TO, ParseConfig
from gateway.core.explanation import ExplainedCall, told_of_body
from gateway.core.packed_json import TakesLongError
from gateway.core.problems import BODY_TOO_LARGE, MEDIA_TYPE_REFUSED, Problem
from gateway.core.types import Call
from gateway.endpoints import AnyEndpoint
from gateway.flow.body_budget import BodyBudget, BodyReservation
from gateway.flow.local_cache import LocalCache
from gateway.flow.reader_queue import ReaderQueue
from gateway.ports import BodyRoom, RawRequest

JSON = "application/json"
REMEMBERED_UP_TO = 2**21
"""Larger bodies are read anew each time: to find one again it would have to be hashed and compared on the loop."""


class RequestParser:
    """Parses bodies of at most `max_body_bytes`, or what the endpoint accepts."""

    def __init__(
        self, local_cache: LocalCache, config: ParseConfig, max_body_bytes: int, bodies: BodyBudget, reader: ReaderQueue
    ) -> None:
        self.config, self._reader = config, reader
        self._local_cache, self._max_body_bytes, self._bodies = local_cache, max_body_bytes, bodies

    def reservation(self, user: str) -> BodyReservation:
        """Room for one body of this user, to be held until the request is answered."""
        return self._bodies.reservation(user)

    async def parse(self, endpoint: AnyEndpoint, raw: RawRequest, room: BodyRoom, user: str) -> Call:
        """The call; raises the problems of `body` and, for a call that is not valid, a 400 or 422 problem."""
        body = await self.body(endpoint, raw, room)
        if len(body) > REMEMBERED_UP_TO:
            return await self._reader.call(user, endpoint.name, raw.query, body)
        call = self._local_cache.call(endpoint.name, raw.query, body)
        if call is None:
            call = endpoint.parse_at_once(body, raw.query, self.config)
            if call is None:
                call = await self._reader.call(user, endpoint.name, raw.query, body)
            self._local_cache.put_call(endpoint.name, raw.query, body, call)
        return call

    async def explained(
        self, endpoint: AnyEndpoint, raw: RawRequest, query: str, room: BodyRoom, user: str, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        """The call, and what its explanation says of the body; the same problems."""
        body = await self.body(endpoint, raw, room)
        explained = None if len(body) > FAULTS_AT_ONCE_UP_TO else self._explained_at_once(endpoint, query, body)
        if explained is None:
            return await self._reader.explained(user, endpoint.name, query, body, in_full=in_full)
        return explained.call, told_of_body(explained.normalized, self.config.rule_set, in_full=in_full)

    def _explained_at_once(self, endpoint: AnyEndpoint, query: str, body: bytes) -> ExplainedCall | None:
        try:
            return ExplainedCall.of(endpoint, body, query, replace(self.config, at_once_bytes=AT_ONCE_UP_TO))
        except TakesLongError:
            return None

    async def body(self, endpoint: AnyEndpoint, raw: RawRequest, room: BodyRoom) -> bytes:
        """The whole body; a 415 problem for another media type or a content coding, 413 for one that is too large."""
        media_type = raw.header("Content-Type")
        is_json = media_type == JSON or (media_type or "").partition(";")[0].strip().lower() == JSON
        if not is_json or (raw.header("Content-Encoding") or "identity") != "identity":
            raise Problem(MEDIA_TYPE_REFUSED)
        max_bytes = min(self._max_body_bytes, endpoint.max_bytes)
        body = await raw.read(max_bytes, room)
        if body is None:
            raise Problem(BODY_TOO_LARGE, f"At most {max_bytes} bytes are accepted.")
        return body
