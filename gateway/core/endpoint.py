"""What an endpoint of the upstream is to the gateway: a path, a body model, and how a body becomes a call.

Declarative: each file of `gateway/endpoints/` holds one `Endpoint`. Parsing is strict and happens once; what goes
upstream is serialised again from what was parsed, so the upstream never sees a byte that was not validated here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.core import body_bounds, canonical_form, strict_json
from gateway.core.answer_model import AnswerModel
from gateway.core.canonical_form import FORM, Implied
from gateway.core.object_sizes import shrunk
from gateway.core.packed_json import TakesLongError
from gateway.core.problems import BODY_UNREADABLE, CALL_INVALID, FieldError, Problem
from gateway.core.rules import NormalForm, RuleSet
from gateway.core.strict_json import MAX_ERRORS, pointer
from gateway.core.types import Call, Determinism, DeterminismClass

M = TypeVar("M", bound=BaseModel)
MAX_QUERY = 65536
ALL_FAULTS_UP_TO = 2**14
"""Of a larger body's lists the first fault alone is told."""
AT_ONCE_UP_TO, FAULTS_AT_ONCE_UP_TO, OBJECTS_AT_ONCE, ARRAYS_AT_ONCE = 2**15, 2**11, 500, 2000
"""What is read within a few milliseconds, whatever is in it: bytes, bytes of a body with faults, objects, arrays."""
NOT_MODELLED = Determinism(DeterminismClass.UNKNOWN, "the determinism of this endpoint is not modelled yet")


class Body(BaseModel):
    """A body or part of one: unknown members are refused, nothing is coerced, null means absent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, slots=True)
class ParseConfig:
    """The settings that parsing depends on; `rule_set` are the rules by which calls share an answer.

    `skipped_checks` are the names of sampler checks that are switched off. `max_answer_bytes` is the largest answer
    that is taken from the upstream (None: any). `max_unpacked_bytes` bounds all packed alignments of a body, unpacked;
    with `at_once_bytes`, parsing raises TakesLongError for a body that would unpack more than that.
    """

    models: Mapping[str, float]
    max_tokens: int = 4096
    defaults: str = "2025-02-14"
    rule_set: RuleSet = RuleSet()
    skipped_checks: frozenset[str] = frozenset()
    max_answer_bytes: int | None = None
    max_unpacked_bytes: int = 64 * 2**20
    at_once_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NormalizedBody:
    """A valid body, normalised by its endpoint.

    `body` is what is forwarded; `bulk` are the bytes of what is in it but too big to hash as text (coordinates, as
    float32), and `bulk_free` is `body` without those. `units` is the cost before the model's weight. `normal_form` is
    what the rules of `core/rules` read; None where they do not cover the endpoint. `canonical` is what the digest of
    the call is made of; set by `normalize` where it is not just the body, settled. `drawn` is what is known of an
    endpoint's draws where its determinism is not modelled: whether a repeat is meant to differ.
    """

    body: Mapping[str, Any]
    units: float
    length: int
    determinism: Determinism = NOT_MODELLED
    bulk_free: Mapping[str, Any] | None = None
    bulk: Sequence[bytes] = ()
    query: str = ""
    normal_form: NormalForm | None = None
    canonical: Mapping[str, Any] | None = None
    drawn: DeterminismClass = DeterminismClass.EXACT


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[M]):
    """One path of the upstream. `normalize` raises a 422 problem for what the body's model cannot express.

    `price` says what is multiplied by the model's weight, for docs/endpoints.md. `answer` is what it answers.
    `not_cached` is why the answers are stored in namespaces only; empty: they are cached. With a `query_model`, the
    query parameters are the member `query` of the body's model. A `fixed_model` is the model's name where the upstream
    takes none: its weight is 1, and it is not in the settings. `defaults` are what left-out members become; every other
    one is left out upstream, too. `form` is the version of its canonical form (core/canonical_form.py), `implied` what
    is left out of it.
    """

    name: str
    model: type[M]
    normalize: Callable[[M, ParseConfig], NormalizedBody]
    price: str
    answer: AnswerModel
    not_cached: str = "whether equal calls get equal answers has not been established"
    query_model: type[BaseModel] | None = None
    fixed_model: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    form: int = FORM
    implied: Implied = Implied()
    method: str = "POST"
    max_bytes: int = 32 * 2**20

    @property
    def path(self) -> str:
        return f"/api/v1/{self.name}"

    @property
    def cacheable(self) -> bool:
        return not self.not_cached

    def parse(self, raw: bytes, query: str, rules: ParseConfig) -> Call:
        """The call, or a 400/422 problem that names every faulty field and repeats nothing of the body."""
        return self.parse_with_body(raw, query, rules)[1]

    def parse_with_body(self, raw: bytes, query: str, rules: ParseConfig) -> tuple[NormalizedBody, Call]:
        """The call and the normalised body that it is made of, for explanations; the same problems."""
        body_bounds.check_text(raw, rules.max_tokens)
        joined = self._query(query)
        asked = self._read_fast(raw, joined, rules)
        return self._normalized(self._read(raw, joined, rules) if asked is None else asked, rules)

    def parse_at_once(self, raw: bytes, query: str, rules: ParseConfig) -> Call | None:
        """As `parse`, or None where that may take more than a few milliseconds: a large body, packed members that are
        large inside, or a second, slower look at one with a fault or a spelling that has to be thought about."""
        quick = replace(rules, at_once_bytes=AT_ONCE_UP_TO)
        try:
            if len(raw) <= FAULTS_AT_ONCE_UP_TO:
                return self.parse(raw, query, quick)
            if len(raw) > AT_ONCE_UP_TO or raw.count(b"{") > OBJECTS_AT_ONCE or raw.count(b"[") > ARRAYS_AT_ONCE:
                return None
            asked = self._read_fast(raw, self._query(query), quick)
            return None if asked is None else self._normalized(asked, quick)[1]
        except TakesLongError:
            return None

    def _normalized(self, asked: M, rules: ParseConfig) -> tuple[NormalizedBody, Call]:
        model, weight = self._model(asked, rules)
        normalized = self._settled(self.normalize(asked, rules))
        canonical, former = self._digests(normalized)
        shared = rules.rule_set.shares and normalized.normal_form is not None
        return normalized, Call(
            endpoint=self.name,
            target=self.path + normalized.query,
            model=model,
            flagged=bool(getattr(asked, "potential_sequence_of_concern", None)),
            body=shrunk(orjson.dumps(normalized.body, option=orjson.OPT_SERIALIZE_NUMPY)),
            canonical_digest=canonical,
            units=max(1, round(weight * normalized.units)),
            length=normalized.length,
            determinism=normalized.determinism,
            sharing_digest=sha256(self.sharing_form(normalized, rules.rule_set)).digest() if shared else b"",
            template_track=normalized.body["track"] if shared else None,
            former_digest=former,
            drawn=normalized.drawn,
        )

    def canonical_form(self, normalized: NormalizedBody) -> bytes:
        """Equal for two calls with the same meaning; coordinates are appended as float32 bytes."""
        body = self._settled(normalized).canonical
        assert body is not None
        return canonical_form.as_bytes(self._head(normalized, self.form), body, normalized.bulk)

    def sharing_form(self, normalized: NormalizedBody, rule_set: RuleSet) -> bytes:
        """Equal for all calls that share an answer under these rules; coordinates are in it as a digest."""
        if not rule_set.shares or normalized.normal_form is None:
            return self.canonical_form(normalized)
        form = [rule_set.name, self.name, normalized.query, rule_set.apply(normalized.normal_form)]
        return orjson.dumps(form, default=canonical_form.array_text, option=orjson.OPT_SORT_KEYS)

    def _digests(self, normalized: NormalizedBody) -> tuple[bytes, bytes]:
        """The digest of the call, and that by form 1 where it is another one."""
        given, bulk = _bulk_free(normalized), normalized.bulk
        seen: dict[int, list[Any]] = {}
        assert normalized.canonical is not None
        canonical = canonical_form.digest(self._head(normalized, self.form), normalized.canonical, bulk, seen)
        former = b"" if self.form == 1 else canonical_form.digest(self._head(normalized, 1), given, bulk, seen)
        return canonical, former

    def _settled(self, normalized: NormalizedBody) -> NormalizedBody:
        if normalized.canonical is not None:
            return normalized
        given = _bulk_free(normalized)
        return replace(normalized, canonical=given if self.form == 1 else canonical_form.settled(given, self.implied))

    def _head(self, normalized: NormalizedBody, form: int) -> list[Any]:
        """What a form begins with. No text of form 1 begins with a number."""
        named = [self.name, normalized.query]
        return named if form == 1 else [form, *named]

    def _model(self, asked: M, rules: ParseConfig) -> tuple[str, float]:
        if self.fixed_model is not None:
            return self.fixed_model, 1.0
        model: str = getattr(asked, "model")  # noqa: B009 - the body has it; the base class cannot say so
        if model not in rules.models:
            allowed = ", ".join(sorted(rules.models))
            raise Problem(
                CALL_INVALID, errors=[FieldError("/model", f"not a model of this gateway; it has: {allowed}")]
            )
        return model, rules.models[model]

    def _query(self, query: str) -> Mapping[str, str]:
        if self.query_model is None and query:
            raise Problem(CALL_INVALID, "This endpoint takes no query parameters.")
        try:
            pairs = parse_qsl(query[:MAX_QUERY], keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise Problem(CALL_INVALID, "There are too many query parameters.") from None
        if len(query) > MAX_QUERY:
            raise Problem(CALL_INVALID, "The query is too long.")
        if len({name for name, _ in pairs}) != len(pairs):
            raise Problem(CALL_INVALID, "A query parameter is repeated.")
        return dict(pairs)

    def _read_fast(self, raw: bytes, query: Mapping[str, str], rules: ParseConfig) -> M | None:
        """The body, or None for the slow reader to decide: only it reads 5.0 as 5, and it says where a fault is."""
        tree = strict_json.read_fast(raw)
        if tree is None:
            return None
        tree = self._joined(tree, query)
        body_bounds.check_lengths(tree, rules.max_tokens)
        try:
            return self._first_faults(tree)
        except ValidationError:
            return None

    def _read(self, raw: bytes, query: Mapping[str, str], rules: ParseConfig) -> M:
        tree = self._joined(strict_json.read_slow(raw), query)
        body_bounds.check_lengths(tree, rules.max_tokens)
        try:
            return self._first_faults(tree) if len(raw) > ALL_FAULTS_UP_TO else self.model.model_validate(tree)
        except ValidationError as error:
            raise Problem(CALL_INVALID, errors=field_errors(error, tree)) from None

    def _first_faults(self, tree: Any) -> M:
        asked: M = body_bounds.first_faults(self.model).validate_python(tree)
        return asked

    def _joined(self, tree: Any, query: Mapping[str, str]) -> Any:
        if not isinstance(tree, dict):
            raise Problem(BODY_UNREADABLE, "The body must be one JSON object.")
        if self.query_model is None:
            return tree
        if "query" in tree:
            raise Problem(CALL_INVALID, errors=[FieldError("/query", _SENTENCES["extra_forbidden"])])
        return {**tree, "query": dict(query)}


def _bulk_free(normalized: NormalizedBody) -> Mapping[str, Any]:
    return normalized.body if normalized.bulk_free is None else normalized.bulk_free


def field_errors(error: ValidationError, tree: Any) -> list[FieldError]:
    """pydantic's errors about this tree as pointers and sentences; what the tree holds is left out of both."""
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        FieldError(pointer(_location(row["loc"], row["type"], tree)), _sentence(row["type"], row["msg"]))
        for row in rows[:MAX_ERRORS]
    ]
    if len(rows) > MAX_ERRORS:
        errors.append(FieldError("", f"and {len(rows) - MAX_ERRORS} more faults"))
    return errors


def _location(steps: tuple[int | str, ...], kind: str, tree: Any) -> list[int | str]:
    # pydantic puts names of its own (the members of a union, ...) among the steps: those lead nowhere in the tree.
    found: list[int | str] = []
    for step in steps:
        named = isinstance(tree, dict) and step in tree
        if named or (isinstance(tree, list) and isinstance(step, int) and step < len(tree)):
            found.append(step)
            tree = tree[step]
    return [*found, steps[-1]] if kind == "missing" else found


_SENTENCES = {
    "extra_forbidden": "no such member is known here",
    "missing": "this member is required",
}


def _sentence(kind: str, message: str) -> str:
    return _SENTENCES.get(kind, message.removeprefix("Input ").removeprefix("Value error, "))
