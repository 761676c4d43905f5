"""From a request's bytes to a call: read, checked, normalised; or recognised as bytes that were parsed before."""

from gateway.core.endpoint import ParseConfig
from gateway.core.problems import BODY_TOO_LARGE, MEDIA_TYPE_REFUSED, Problem
from gateway.core.types import Call
from gateway.endpoints import AnyEndpoint
from gateway.flow.body_budget import BodyBudget, BodyReservation
from gateway.flow.local_cache import LocalCache
from gateway.ports import BodyRoom, RawRequest

JSON = "application/json"


class RequestParser:
    """Parses bodies of at most `max_body_bytes`, or what the endpoint accepts."""

    def __init__(self, local_cache: LocalCache, config: ParseConfig, max_body_bytes: int, bodies: BodyBudget) -> None:
        self.config = config
        self._local_cache, self._max_body_bytes, self._bodies = local_cache, max_body_bytes, bodies

    def reservation(self, user: str) -> BodyReservation:
        """Room for one body of this user, to be held until the request is answered."""
        return self._bodies.reservation(user)

    async def parse(self, endpoint: AnyEndpoint, raw: RawRequest, room: BodyRoom) -> Call:
        """The call; raises the problems of `body` and, for a call that is not valid, a 400 or 422 problem."""
        body = await self.body(endpoint, raw, room)
        call = self._local_cache.call(endpoint.name, raw.query, body)
        if call is None:
            call = endpoint.parse(body, raw.query, self.config)
            self._local_cache.put_call(endpoint.name, raw.query, body, call)
        return call

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
