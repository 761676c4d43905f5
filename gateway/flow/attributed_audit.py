"""Who ran a command, on each of its audit records, beside the name that was claimed for it (`by`)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.core.audit import Event
from gateway.ports import AuditLog


class AttributedAudit:
    """`ports.AuditLog` of one command. `facts` are what the operating system knows, and not the command line."""

    def __init__(self, audit: AuditLog, facts: Mapping[str, Any]) -> None:
        self._audit, self._facts = audit, dict(facts)

    async def append(self, event: Event) -> int:
        return await self._audit.append(replace(event, facts={**event.facts, **self._facts}))
