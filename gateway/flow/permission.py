"""Whether a caller may still have their call: keys are revoked and approvals end while a call waits.

A wait may last for minutes: for a body, for a place at the upstream, for another caller's computation. Whoever has
waited is asked again before the next thing happens in their name. A key that is in memory costs no store call, and
memory is at most as old as the last poll (`invalidation_poller.py`). A call that was sent is not taken back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.core.problems import KEY_REFUSED, Problem
from gateway.core.types import Call, Principal
from gateway.flow.context import RequestContext
from gateway.flow.policy import PolicyEnforcer

RECHECK_S = 1.0
"""A revocation is obeyed within two seconds, so who waited for longer than this is asked again."""


class PermissionEnded(Exception):
    """A call is not sent: its caller may no longer have it. This is theirs alone, and no failure of the call."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.type.slug)
        self.problem = problem


@dataclass(slots=True)
class Permission:
    """The leave of a request's caller to have its call. `authenticate`: who holds their key now."""

    policy: PolicyEnforcer
    authenticate: Callable[[], Awaitable[Principal]]
    call: Call
    who: Principal
    context: RequestContext
    asked_s: float

    async def confirm(self) -> None:
        """Raises 401 or the policy's problem where the key or the approval ended meanwhile; that is on record then."""
        asked_s = self.context.elapsed_s()
        try:
            self.who = await self.authenticate()
        except Problem as problem:
            if problem.type is KEY_REFUSED:
                await self.policy.record_key_ended(self.call, self.who, self.context.request_id, problem.detail)
            raise
        await self.policy.confirm(self.call, self.who, self.context.request_id)
        self.asked_s = asked_s

    async def confirm_after_waiting(self) -> None:
        """The same, unless it was asked a moment ago."""
        if self.context.elapsed_s() - self.asked_s > RECHECK_S:
            await self.confirm()

    async def confirm_before_sending(self) -> None:
        """The same; raises PermissionEnded."""
        try:
            await self.confirm()
        except Problem as problem:
            raise PermissionEnded(problem) from None
