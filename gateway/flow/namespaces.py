"""Administration of named namespaces: create, list, freeze and drop.

A live namespace stores the first answer of every call that names it; a frozen one answers from what it holds and from
nothing else. Each change is written to the audit record before it takes effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.core.audit import Event
from gateway.core.cache_plan import DEFAULT_NAMESPACE
from gateway.core.decisions import of_namespace
from gateway.core.types import Namespace
from gateway.flow.admin_arguments import InvalidArgument, check_names, check_namespace, check_text
from gateway.ports import AuditLog, Clock, Decisions, NamespaceContents, NamespaceStore, NotStored


class NamespaceState(StrEnum):
    """`unfinished`: a freeze was interrupted, freeze again; `incomplete`: an import was, or is still running."""

    LIVE = "live"
    FROZEN = "frozen"
    UNFINISHED = "unfinished"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class NamespaceInfo:
    """A namespace, how much it holds, and its state."""

    namespace: Namespace
    contents: NamespaceContents

    @property
    def state(self) -> NamespaceState:
        if self.namespace.frozen is None:
            return NamespaceState.UNFINISHED if self.contents.closed else NamespaceState.LIVE
        return NamespaceState.FROZEN if self.contents.closed else NamespaceState.INCOMPLETE


class NamespaceAdmin:
    """The namespaces, as an administrator sees and changes them."""

    def __init__(self, namespace_store: NamespaceStore, decisions: Decisions, audit: AuditLog, clock: Clock) -> None:
        self._namespace_store, self._decisions = namespace_store, decisions
        self._audit, self._clock = audit, clock

    async def infos(self) -> Sequence[NamespaceInfo]:
        """All namespaces, by name."""
        named = await self._namespace_store.namespaces()
        return [NamespaceInfo(named[name], await self._namespace_store.contents(name)) for name in sorted(named)]

    async def info(self, name: str) -> NamespaceInfo:
        """One namespace; raises InvalidArgument where there is none."""
        namespace = (await self._namespace_store.namespaces()).get(name)
        if namespace is None:
            raise InvalidArgument("There is no namespace of that name; `cache namespaces` shows them.")
        return NamespaceInfo(namespace, await self._namespace_store.contents(name))

    async def create(self, name: str, note: str, by: str) -> Namespace:
        """A live, empty namespace. Every worker knows it within a second."""
        check_names(by=by)
        check_text(note=note)
        await self.check_free(name)
        namespace = Namespace(name, self._clock.now(), note=note)
        await self._record("namespace_created", by=by, namespace=name, note=note)
        await self.add(namespace)
        return namespace

    async def freeze(self, name: str, by: str) -> NamespaceInfo:
        """From now on nothing is added. One that is frozen already is left as it is."""
        check_names(by=by)
        info = await self.info(name)
        if info.state is NamespaceState.FROZEN:
            return info
        if info.state is NamespaceState.INCOMPLETE:
            raise InvalidArgument(
                "An import into this namespace was interrupted or is still running; drop it and import again."
            )
        created, number = info.namespace.created, await self._decisions.next_number()
        await self._record("namespace_frozen", by=by, namespace=name, created=created, number=number)
        frozen = self._clock.now()
        await self._decisions.decide(of_namespace(name, created), frozen)
        await self._namespace_store.freeze(name, frozen)
        return await self.info(name)

    async def drop(self, name: str, by: str) -> int:
        """Delete a namespace, frozen or not, with all its entries; returns how many there were."""
        check_names(by=by)
        info = await self.info(name)
        facts = {"entries": info.contents.entries, "frozen": info.namespace.frozen}
        await self._record("namespace_dropped", by=by, namespace=name, **facts)
        return await self._namespace_store.drop(name)

    async def check_free(self, name: str) -> None:
        """Raises InvalidArgument for a name that is taken or not valid."""
        check_namespace(name)
        if name == DEFAULT_NAMESPACE:
            raise InvalidArgument("`default` is the cache that all callers share; choose another name.")
        if name in await self._namespace_store.namespaces():
            raise InvalidArgument("There is a namespace of that name already.")

    async def add(self, namespace: Namespace) -> None:
        """Create it as described; raises InvalidArgument where that is not possible."""
        try:
            made = await self._namespace_store.create(namespace)
        except NotStored:
            raise InvalidArgument("The greatest number of namespaces is reached; drop one.") from None
        if not made:
            raise InvalidArgument("There is a namespace of that name already.")

    async def _record(self, kind: str, **facts: Any) -> None:
        self._decisions.require_open()
        await self._audit.append(Event(kind, self._clock.now(), facts))
