"""Who is asking: from a virtual key to a principal.

Known keys live in local memory for at most a minute, and everything is forgotten when the directory's epoch moves
(`poller.py` looks every second), so that a revocation reaches every worker within two. Store lost: known keys go on
for that minute, unknown ones are refused with 503.
"""

from dataclasses import dataclass

from gateway.core import credentials
from gateway.core.lru import Lru
from gateway.core.metrics import AUTH_FAILURES, STORE_ERRORS
from gateway.core.problems import KEY_REFUSED, STATE_UNAVAILABLE, Problem
from gateway.core.types import Principal
from gateway.ports import Clock, Directory, Meter, StoreUnavailable

KNOWN_S, UNKNOWN_S = 60.0, 5.0


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal | None
    until: float


class Authenticator:
    """Principals by the text of their key. Memory bounded; holds key texts, so it is never shown or dumped."""

    def __init__(self, directory: Directory, clock: Clock, meter: Meter, key_pepper: bytes) -> None:
        self._directory = directory
        self._clock = clock
        self._meter = meter
        self._pepper = key_pepper
        self._known: Lru[_Known] = Lru(8 * 2**20)
        self._generation = 0

    def forget(self) -> None:
        """Drop what is known; a look-up under way will not be remembered either."""
        self._known.clear()
        self._generation += 1

    async def principal(self, authorization: str | None) -> Principal:
        """The holder of the key in this header field; a 401 problem without one, 503 if nobody can tell."""
        known = self._known.get(authorization)
        if known is None or known.until < self._clock.monotonic():
            known = await self._look_up(authorization)
        if known.principal is None:
            raise self._refused("unknown")
        expires = known.principal.key.expires
        if expires is not None and expires <= self._clock.now():
            raise self._refused("expired")
        if known.principal.key.revoked is not None:
            raise self._refused("revoked")
        return known.principal

    async def _look_up(self, authorization: str | None) -> _Known:
        key = self._parsed(authorization)
        generation = self._generation
        try:
            found = await self._directory.find(key.public_id)
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "find_key")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        principal = None
        if found is not None and credentials.matches(self._pepper, key, found[0].digest):
            principal = Principal(found[0], tuple(found[1]))
        lifetime = UNKNOWN_S if principal is None else KNOWN_S
        known = _Known(principal, self._clock.monotonic() + lifetime)
        if generation == self._generation:
            self._known.put(authorization, known, 2048)
        return known

    def _parsed(self, authorization: str | None) -> credentials.VirtualKey:
        if not authorization:
            raise self._refused("missing")
        scheme, _, text = authorization.partition(" ")
        key = credentials.parse(text.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise self._refused("malformed")
        return key

    def _refused(self, reason: str) -> Problem:
        self._meter.count(AUTH_FAILURES, reason)
        detail = _DETAILS.get(reason, "")
        return Problem(KEY_REFUSED, detail, headers={"WWW-Authenticate": 'Bearer realm="esm-gateway"'})


# A caller is told what helps them; whether an unknown key exists, or which part is wrong, is not said.
_DETAILS = {
    "missing": "Send your virtual key: Authorization: Bearer esmgw_...",
    "malformed": "This is not a whole virtual key (a letter lost in copying?). It begins with esmgw_.",
    "expired": "This key has expired; ask an administrator for a new one.",
    "revoked": "This key has been revoked; ask an administrator for a new one.",
}
