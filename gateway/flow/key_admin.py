"""Administration of virtual keys and approvals: issue and revoke.

Each change is written to the audit record before it takes effect: without a record nothing changes. A record may
therefore name a change that a lost store then prevented, never the reverse. Who may administer is not checked here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.core import credentials
from gateway.core.audit import Event
from gateway.core.cache_directives import DIRECTIVES
from gateway.core.decisions import of_approval, of_key
from gateway.core.policies.concern import in_force
from gateway.core.quota import MAX_AMOUNT
from gateway.core.types import Approval, CacheScope, KeyRecord, Limits
from gateway.flow.admin_arguments import InvalidArgument, check_names, check_namespace, check_text
from gateway.ports import AuditLog, Clock, Decisions, Directory

MAX_APPROVAL_S = 366 * 86_400
MAX_KEY_S = 3_654 * 86_400
"""Ten years, and the rest of the last day."""
CLASSES, SHARES = ("exact", "pinned"), ("organisation", "team", "user")
"""What a key's scope can name: determinism classes that are cached, and who shares its cached answers."""
_ENTROPY_BYTES = credentials.PUBLIC_CHARS + credentials.SECRET_CHARS


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key to be issued. `models` None: all of the gateway's; `expires` in seconds since the epoch.

    `cache` is what the key may do with the cache; None: what the settings say.
    """

    user: str
    team: str
    models: tuple[str, ...] | None = None
    expires: float | None = None
    limits: Limits = Limits()
    label: str = ""
    cache: CacheScope | None = None


class KeyAdmin:
    """Virtual keys and approvals, as an administrator sees and changes them."""

    def __init__(
        self,
        *,
        directory: Directory,
        decisions: Decisions,
        audit: AuditLog,
        clock: Clock,
        key_pepper: bytes,
        models: Collection[str],
    ) -> None:
        self._directory, self._decisions, self._audit, self._clock = directory, decisions, audit, clock
        self._pepper, self._models = key_pepper, frozenset(models)

    async def create_key(self, new: NewKey, by: str) -> tuple[KeyRecord, str]:
        """The record, and the key's text, which is not stored and cannot be retrieved later."""
        now = self._clock.now()
        check_names(user=new.user, team=new.team, by=by)
        check_text(label=new.label)
        self._check_models(new.models)
        _check_scope(new.cache)
        _check_limits(new.limits)
        if new.expires is not None and not now < new.expires <= now + MAX_KEY_S:
            raise InvalidArgument("A key must expire in the future, within ten years.")
        key = credentials.mint(self._clock.token(_ENTROPY_BYTES))
        record = KeyRecord(key.public_id, credentials.digest(self._pepper, key), created=now, **_fields(new))
        await self._record("key_created", by=by, key=record.public_id, **_facts(new))
        await self._directory.put_key(record)
        return record, key.text

    async def revoke_key(self, text: str, by: str) -> KeyRecord:
        """From now on the key that this text shows is refused; every worker knows within two seconds.

        A whole key whose secret is not that of the record is nobody's: with one, anybody could have anybody revoked.
        """
        check_names(by=by)
        record = await self.key(text)
        shown = credentials.mentioned(text)[record.public_id]
        if shown is not None and not credentials.matches(self._pepper, shown, record.digest):
            raise InvalidArgument(
                f"This key was never issued, it only has the id of one that was ({record.public_id}); to revoke that "
                "one, name its id alone."
            )
        if record.revoked is not None:
            return record
        number = await self._decisions.next_number()
        await self._record("key_revoked", by=by, key=record.public_id, user=record.user, number=number)
        revoked = self._clock.now()
        await self._decisions.decide(of_key(record.public_id), revoked)
        record = replace(record, revoked=revoked)
        await self._directory.put_key(record)
        return record

    async def key(self, text: str) -> KeyRecord:
        """The record of the one key whose id the text is, or that it shows. No message repeats the text."""
        ids = list(credentials.mentioned(text))
        if len(ids) > 1:
            raise InvalidArgument(f"This text shows {len(ids)} keys: {', '.join(ids[:9])}; name one id at a time.")
        found = await self._directory.find(ids[0]) if ids else None
        if found is None:
            raise InvalidArgument("There is no key with this id; `keys list` shows them.")
        return found[0]

    async def keys(self, user: str | None = None) -> Sequence[KeyRecord]:
        """All keys, or those of one user, oldest first."""
        records = [record for record in await self._directory.keys() if user in (None, record.user)]
        return sorted(records, key=lambda record: (record.created, record.public_id))

    async def approve(
        self, user: str, approved_by: Sequence[str], reason: str, until: float, models: tuple[str, ...] | None
    ) -> Approval:
        """Let a user send declared sequences of concern, for a time. Two other people must approve."""
        now = self._clock.now()
        people = tuple(sorted({name.strip() for name in approved_by}))
        for name in (user, *people):
            check_names(name=name)
        _check_people(user, people)
        check_text(reason=reason)
        self._check_models(models)
        if not reason.strip():
            raise InvalidArgument("An approval needs a reason.")
        if not now < until <= now + MAX_APPROVAL_S:
            raise InvalidArgument("An approval must end in the future, within a year.")
        approval = Approval(self._clock.token(8).hex(), user, people, reason, now, until, models)
        await self._record("approval_created", by=list(people), **_approval_facts(approval))
        await self._directory.put_approval(approval)
        return approval

    async def approvals(self, user: str) -> Sequence[Approval]:
        """All approvals of a user, ended ones included, oldest first."""
        return sorted(
            await self._directory.approvals(user), key=lambda approval: (approval.created, approval.approval_id)
        )

    async def revoke_approval(self, user: str, by: str, approval_id: str | None = None) -> Sequence[Approval]:
        """End one approval of a user, or all that are in force. Returns those that it ended."""
        check_names(user=user, by=by)
        now = self._clock.now()
        ended: list[Approval] = []
        for approval in await self.approvals(user):
            if approval_id in (None, approval.approval_id) and approval.revoked is None and now < approval.expires:
                about = {"approval": approval.approval_id, "user": user}
                number = await self._decisions.next_number()
                await self._record("approval_revoked", by=by, **about, number=number)
                await self._decisions.decide(of_approval(user, approval.approval_id), now)
                ended.append(replace(approval, revoked=now))
                await self._directory.put_approval(ended[-1])
        if not ended:
            raise InvalidArgument("This user has no such approval in force.")
        return ended

    def in_force(self, approval: Approval) -> bool:
        """Whether an approval is in force now, for the models that it names."""
        return in_force(approval, approval.models[0] if approval.models else "", self._clock.now())

    async def _record(self, kind: str, **facts: Any) -> None:
        self._decisions.require_open()
        await self._audit.append(Event(kind, self._clock.now(), facts))

    def _check_models(self, models: tuple[str, ...] | None) -> None:
        unknown = sorted(set(models or ()) - self._models)
        if unknown:
            raise InvalidArgument(
                f"{', '.join(unknown)} is not a model of this gateway; it has: {', '.join(sorted(self._models))}."
            )
        if models is not None and not models:
            raise InvalidArgument("The list of models is empty; leave it out for all of them.")


def _check_limits(limits: Limits) -> None:
    for name, amount in asdict(limits).items():
        least = 0 if name == "units_per_day" else 1
        if amount is not None and not least <= amount <= MAX_AMOUNT:
            raise InvalidArgument(f"A limit must be between {least} and {MAX_AMOUNT:,}.")
    if limits.burst is not None and limits.requests_per_minute is None:
        raise InvalidArgument("A burst limits nothing without requests per minute; give both, or neither.")


def _check_people(user: str, people: tuple[str, ...]) -> None:
    if len({name.casefold() for name in people}) < 2:
        raise InvalidArgument("An approval needs two different people.")
    if user.casefold() in {name.casefold() for name in people}:
        raise InvalidArgument("Nobody can approve themselves.")


def _check_scope(scope: CacheScope | None) -> None:
    if scope is None:
        return
    if not set(scope.classes or ()) <= set(CLASSES):
        raise InvalidArgument(f"A key can cache answers of these classes: {', '.join(CLASSES)}.")
    if scope.share not in (None, *SHARES):
        raise InvalidArgument(f"A key can share cached answers with one of: {', '.join(SHARES)}.")
    if not set(scope.directives or ()) <= set(DIRECTIVES):
        raise InvalidArgument(f"The Cache-Control directives that a key can use are: {', '.join(DIRECTIVES)}.")
    if scope.namespace is not None:
        check_namespace(scope.namespace)


def _fields(new: NewKey) -> Mapping[str, Any]:
    names = ("user", "team", "models", "expires", "limits", "label", "cache")
    return {name: getattr(new, name) for name in names}


def _facts(new: NewKey) -> Mapping[str, Any]:
    cache = None if new.cache is None else asdict(new.cache)
    return {**_fields(new), "limits": asdict(new.limits), "cache": cache}


def _approval_facts(approval: Approval) -> Mapping[str, Any]:
    return {
        "approval": approval.approval_id,
        "user": approval.user,
        "reason": approval.reason,
        "expires": approval.expires,
        "models": approval.models,
    }
