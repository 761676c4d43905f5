"""Authentication: from a virtual key to its principal.

Known keys are cached in this process for at most a minute, and all of them are dropped when the directory's epoch
moves (`invalidation_poller.py` polls it twice a second), so that a revocation reaches every worker within two seconds.
With the state store lost, known keys go on for that minute and unknown ones are refused with 503.
"""

from dataclasses import dataclass

from gateway.core import credentials
from gateway.core.lru import Lru
from gateway.core.metrics import AUTH_FAILURES, STORE_ERRORS
from gateway.core.object_sizes import size_of
from gateway.core.problems import KEY_REFUSED, STATE_CLOSED, STATE_UNAVAILABLE, Problem
from gateway.core.types import Principal
from gateway.flow.runtime import Runtime
from gateway.ports import Directory, StateClosed, StoreUnavailable

KNOWN_S, UNKNOWN_S = 60.0, 5.0
KNOWN_BYTES = 7 * 2**20
UNKNOWN_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal | None
    until: float


class Authenticator:
    """Principals by the text of their key. Bounded in bytes; holds key texts, so it is never shown or dumped."""

    def __init__(self, directory: Directory, runtime: Runtime, key_pepper: bytes) -> None:
        self._directory, self._pepper = directory, key_pepper
        self._clock, self._meter, self._tasks = runtime.clock, runtime.meter, runtime.tasks
        self._known: Lru[_Known] = Lru(KNOWN_BYTES)
        # Apart, so that a stranger's made-up keys push no known one out.
        self._unknown: Lru[_Known] = Lru(UNKNOWN_BYTES)
        self._generation = 0

    @property
    def bytes(self) -> int:
        """What the cached keys take."""
        return self._known.bytes + self._unknown.bytes

    def forget(self) -> None:
        """Drop all cached keys; a look-up that is under way will not be cached either."""
        self._known.clear()
        self._unknown.clear()
        self._generation += 1

    async def authenticate(self, authorization: str | None) -> Principal:
        """The holder of the key in this header field; a 401 problem without one, 503 if the state store is lost."""
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
        unknown = self._unknown.get(authorization)
        if unknown is not None and unknown.until >= self._clock.monotonic():
            return unknown
        key = self._parsed(authorization)
        generation = self._generation
        try:
            found = await self._directory.find(key.public_id)
        except StateClosed:
            raise Problem(STATE_CLOSED, headers={"Retry-After": "60"}) from None
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "find_key")
            raise Problem(STATE_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        principal = None
        if found is not None and credentials.matches(self._pepper, key, found[0].digest):
            principal = Principal(found[0], tuple(found[1]))
            if not credentials.is_current(self._pepper, found[0].digest):
                self._tasks.start(self._rehash(key, found[0].digest))
        lifetime = UNKNOWN_S if principal is None else KNOWN_S
        known = _Known(principal, self._clock.monotonic() + lifetime)
        if generation == self._generation:
            memory = self._unknown if principal is None else self._known
            memory.put(authorization, known, size_of(authorization) + size_of(known))
        return known

    async def _rehash(self, key: credentials.VirtualKey, before: str) -> None:
        """The digest under the secret that is in use now; if that fails, at the next look-up."""
        try:
            await self._directory.rehash(key.public_id, before, credentials.digest(self._pepper, key))
        except StoreUnavailable:
            self._meter.count(STORE_ERRORS, "state", "rehash")

    def _parsed(self, authorization: str | None) -> credentials.VirtualKey:
        scheme, _, text = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer":
            raise self._refused("scheme" if scheme else "missing")
        if not text.strip():
            raise self._refused("missing")
        key = credentials.parse(text.strip())
        if key is None:
            raise self._refused("malformed")
        return key

    def _refused(self, reason: str) -> Problem:
        self._meter.count(AUTH_FAILURES, reason)
        # RFC 6750 section 3.1: no error code for whoever sent no bearer token at all.
        error = "" if reason in ("missing", "scheme") else ', error="invalid_token"'
        challenge = f'Bearer realm="esm-gateway"{error}'
        return Problem(KEY_REFUSED, _DETAILS.get(reason, ""), headers={"WWW-Authenticate": challenge})


# What helps the caller is said; whether an unknown key exists, or which part of it is wrong, is not.
_DETAILS = {
    "missing": "Send your virtual key: Authorization: Bearer esmgw_...",
    "scheme": "Only the scheme Bearer is accepted, no user name with a password and no key alone: "
    "Authorization: Bearer esmgw_...",
    "malformed": "This is not a whole virtual key (a letter lost in copying?). It begins with esmgw_.",
    "expired": "This key has expired; ask an administrator for a new one.",
    "revoked": "This key has been revoked; ask an administrator for a new one.",
}
