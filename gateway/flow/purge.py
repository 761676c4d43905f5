"""Purges: of everything, of a model, of old answers, of one entry, or of a namespace's entries.

Each purge is written to the audit record before it takes effect. It reaches every worker's local cache within a second.
Not touched: receipts, which are stored nowhere, and all namespaces but the one that is named.
"""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from gateway.core.audit import Event
from gateway.core.cache_plan import DEFAULT_NAMESPACE
from gateway.core.purge_state import Purge
from gateway.flow.admin_arguments import InvalidArgument, check_names
from gateway.ports import AuditLog, CacheStore, Clock, NamespaceStore, NotStored, PurgeStore, StoreUnavailable

MAX_AGE_S = 3_653 * 86_400
_CACHE_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """What to purge; without any limitation: every cached answer.

    `key` is a cache key as `cache explain` shows it; a `soft` purge makes answers stale, so that they are still usable
    while the upstream is down.
    """

    model: str | None = None
    older_than_s: float | None = None
    key: str | None = None
    namespace: str = DEFAULT_NAMESPACE
    soft: bool = False


class Purger:
    """Carries out purges for an administrator."""

    def __init__(
        self,
        *,
        purge_store: PurgeStore,
        cache: CacheStore,
        namespace_store: NamespaceStore,
        audit: AuditLog,
        clock: Clock,
        models: Collection[str],
    ) -> None:
        self._purge_store, self._cache, self._namespace_store = purge_store, cache, namespace_store
        self._audit, self._clock, self._models = audit, clock, frozenset(models)

    async def purge(self, request: PurgeRequest, by: str) -> int | None:
        """Purge; returns how many entries, where they are counted. Raises InvalidArgument."""
        check_names(by=by)
        self._check(request)
        if request.namespace != DEFAULT_NAMESPACE:
            return await self._of_namespace(request, by)
        await self._record(request, by)
        purge = Purge(request.model or "", request.soft, request.older_than_s, request.key or "")
        await self._purge_store.purge(purge)
        if request.key is not None:
            # The purge stands whether or not this works: it ends the flight that computes the old answer.
            with suppress(StoreUnavailable):
                await self._cache.delete(request.key)
        return None

    async def _of_namespace(self, request: PurgeRequest, by: str) -> int:
        name = request.namespace
        if name not in await self._namespace_store.namespaces():
            raise InvalidArgument("There is no namespace of that name; `cache namespaces` shows them.")
        if request.key is None and (await self._namespace_store.contents(name)).closed:
            raise InvalidArgument("The namespace is frozen and cannot be purged; `cache namespace drop` deletes it.")
        await self._record(request, by)
        # First and last: where the second fails, the first has reached most, and the purge can be repeated.
        await self._namespace_store.touch()
        try:
            if request.key is None:
                taken = await self._namespace_store.empty(name)
            else:
                taken = int(await self._namespace_store.remove(name, request.key))
        except NotStored:
            raise InvalidArgument("The namespace has just been frozen, so nothing was purged.") from None
        await self._namespace_store.touch()
        return taken

    def _check(self, request: PurgeRequest) -> None:
        others = request.model is not None or request.older_than_s is not None or request.soft
        if request.key is not None and not _CACHE_KEY.fullmatch(request.key):
            raise InvalidArgument("A key is 64 digits from 0 to f, as `cache explain` shows it.")
        if others and (request.key is not None or request.namespace != DEFAULT_NAMESPACE):
            raise InvalidArgument("--model, --older-than and --soft do not apply to one entry or to a namespace.")
        if request.model is not None and request.model not in self._models:
            raise InvalidArgument(f"This is not a model of this gateway; it has: {', '.join(sorted(self._models))}.")
        if request.older_than_s is not None and not 0 < request.older_than_s <= MAX_AGE_S:
            raise InvalidArgument("An age must be greater than 0, and at most ten years.")
        if request.older_than_s is not None and request.model is not None and not request.soft:
            raise InvalidArgument("A purge by age of one model must be soft; a hard purge by age concerns all models.")

    async def _record(self, request: PurgeRequest, by: str) -> None:
        said: Mapping[str, Any] = {name: value for name, value in asdict(request).items() if value not in (None, False)}
        await self._audit.append(Event("cache_purged", self._clock.now(), {"by": by, **said}))
