"""What an administrator makes the gateway forget: everything, a model, what is old, one entry, or a namespace's record.

Each purge is put on record before it takes effect. It reaches every worker's memory within a second. What a purge does
not touch: receipts, which are kept nowhere, and named namespaces other than the one that is named.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.core.audit import Event
from gateway.core.cache_plan import DEFAULT_NAMESPACE
from gateway.core.purge_state import Purge
from gateway.flow.admin_arguments import InvalidArgument, check_names
from gateway.ports import AuditLog, CacheStore, Clock, NamespaceStore, NotStored, PurgeStore

_CACHE_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PurgeRequest:
    """What is to be forgotten; nothing said: every kept answer.

    `key` is an address as `cache explain` shows it, `soft` leaves the answers to stand in while the upstream is down.
    """

    model: str | None = None
    older_than_s: float | None = None
    key: str | None = None
    namespace: str = DEFAULT_NAMESPACE
    soft: bool = False


class Purger:
    """The purges that an administrator can order."""

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

    async def purge(self, order: PurgeRequest, by: str) -> int | None:
        """Forget; answers how many entries that were, where they are counted. Raises Refused."""
        check_names(by=by)
        self._check(order)
        if order.namespace != DEFAULT_NAMESPACE:
            return await self._of_namespace(order, by)
        await self._record(order, by)
        if order.key is not None:
            await self._cache.delete(order.key)
            await self._purge_store.touch()
        else:
            await self._purge_store.purge(Purge(order.model or "", order.soft, order.older_than_s))
        return None

    async def _of_namespace(self, order: PurgeRequest, by: str) -> int:
        name = order.namespace
        if name not in await self._namespace_store.namespaces():
            raise InvalidArgument("There is no namespace of that name; `cache namespaces` shows them.")
        if order.key is None and (await self._namespace_store.held(name)).closed:
            raise InvalidArgument(
                "The namespace is frozen and keeps what it holds; `cache namespace drop` forgets all of it."
            )
        await self._record(order, by)
        try:
            taken = await self._namespace_store.empty(name) if order.key is None else await self._one(name, order.key)
        except NotStored:
            raise InvalidArgument("The namespace has just been frozen, so nothing was forgotten.") from None
        await self._purge_store.touch()
        return taken

    async def _one(self, name: str, cache_key: str) -> int:
        if not await self._namespace_store.remove(name, cache_key):
            raise InvalidArgument("The namespace holds no entry with this key.")
        return 1

    def _check(self, order: PurgeRequest) -> None:
        others = order.model is not None or order.older_than_s is not None or order.soft
        if order.key is not None and not _CACHE_KEY.fullmatch(order.key):
            raise InvalidArgument("A key is 64 digits from 0 to f, as `cache explain` shows it.")
        if others and (order.key is not None or order.namespace != DEFAULT_NAMESPACE):
            raise InvalidArgument(
                "One entry, or what a namespace holds, is forgotten whatever its model and age, and for good."
            )
        if order.model is not None and order.model not in self._models:
            raise InvalidArgument(f"This is not a model of this gateway; it has: {', '.join(sorted(self._models))}.")
        if order.older_than_s is not None and not 0 < order.older_than_s < math.inf:
            raise InvalidArgument("An age must be more than nothing.")
        if order.older_than_s is not None and order.model is not None and not order.soft:
            raise InvalidArgument(
                "By age, the answers of one model can be purged softly; for good, those of all models."
            )

    async def _record(self, order: PurgeRequest, by: str) -> None:
        said: Mapping[str, Any] = {name: value for name, value in asdict(order).items() if value not in (None, False)}
        await self._audit.append(Event("cache_purged", self._clock.now(), {"by": by, **said}))
