"""What an administrator does with named namespaces: create, look at, freeze, and drop them.

A live one keeps the first answer of every call that names it; a frozen one answers from what it holds and from nothing
else, for as long as it is there. Each change is put on record before it takes effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.core.audit import Event
from gateway.core.cache_plan import DEFAULT_NAMESPACE
from gateway.core.types import Namespace
from gateway.flow.admin_arguments import InvalidArgument, check_names, check_namespace, check_text
from gateway.ports import AuditLog, Clock, NamespaceContents, NamespaceStore, NotStored


class NamespaceState(StrEnum):
    """`unfinished`: a freeze was cut off, and is ended by freezing again; `incomplete`: an import was, or goes on."""

    LIVE = "live"
    FROZEN = "frozen"
    UNFINISHED = "unfinished"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    """A namespace, what it holds, and how it stands."""

    namespace: Namespace
    held: NamespaceContents

    @property
    def state(self) -> NamespaceState:
        if self.namespace.frozen is None:
            return NamespaceState.UNFINISHED if self.held.closed else NamespaceState.LIVE
        return NamespaceState.FROZEN if self.held.closed else NamespaceState.INCOMPLETE


class NamespaceAdmin:
    """The namespaces, as an administrator sees and changes them."""

    def __init__(self, namespace_store: NamespaceStore, audit: AuditLog, clock: Clock) -> None:
        self._namespace_store, self._audit, self._clock = namespace_store, audit, clock

    async def infos(self) -> Sequence[NamespaceInfo]:
        """All namespaces, by name."""
        named = await self._namespace_store.namespaces()
        return [NamespaceInfo(named[name], await self._namespace_store.held(name)) for name in sorted(named)]

    async def info(self, name: str) -> NamespaceInfo:
        """One namespace; raises Refused where there is none."""
        namespace = (await self._namespace_store.namespaces()).get(name)
        if namespace is None:
            raise InvalidArgument("There is no namespace of that name; `cache namespaces` shows them.")
        return NamespaceInfo(namespace, await self._namespace_store.held(name))

    async def create(self, name: str, note: str, by: str) -> Namespace:
        """A live namespace, empty. Workers know it within a second."""
        check_names(by=by)
        check_text(note=note)
        await self.check_free(name)
        namespace = Namespace(name, self._clock.now(), note=note)
        await self._record("namespace_created", by=by, namespace=name, note=note)
        await self.place(namespace)
        return namespace

    async def freeze(self, name: str, by: str) -> NamespaceInfo:
        """From now on the namespace holds what it holds. One that is frozen stays as it is."""
        check_names(by=by)
        info = await self.info(name)
        if info.state is NamespaceState.FROZEN:
            return info
        if info.state is NamespaceState.INCOMPLETE:
            raise InvalidArgument("An import into this namespace was cut off or goes on; drop it and import again.")
        await self._record("namespace_frozen", by=by, namespace=name)
        await self._namespace_store.freeze(name, self._clock.now())
        return await self.info(name)

    async def drop(self, name: str, by: str) -> int:
        """Forget a namespace, frozen or not, with all it holds; answers how many entries that were."""
        check_names(by=by)
        info = await self.info(name)
        facts = {"entries": info.held.entries, "frozen": info.namespace.frozen}
        await self._record("namespace_dropped", by=by, namespace=name, **facts)
        return await self._namespace_store.drop(name)

    async def check_free(self, name: str) -> None:
        """Raises Refused for a name that cannot be had."""
        check_namespace(name)
        if name == DEFAULT_NAMESPACE:
            raise InvalidArgument("`default` is the cache that all callers share; choose another name.")
        if name in await self._namespace_store.namespaces():
            raise InvalidArgument("There is a namespace of that name already.")

    async def place(self, namespace: Namespace) -> None:
        """Create it, as it is described; raises Refused where it cannot be."""
        try:
            made = await self._namespace_store.create(namespace)
        except NotStored:
            raise InvalidArgument("There are as many namespaces as there can be; drop one.") from None
        if not made:
            raise InvalidArgument("There is a namespace of that name already.")

    async def _record(self, kind: str, **facts: Any) -> None:
        await self._audit.append(Event(kind, self._clock.now(), facts))
