"""What is known to crash the published sampler, one named check a row, for bodies in tokens and in letters alike.

Upstream each of these is a 500, which SDKs try again, so it is refused here with its reason. The hosted service is
closed and may differ: each check has a switch of its name (`request.checks`). Ids beyond the model's tables are not
among them: the models of the bodies refuse those. Letters that no sequence has are not, either: the tokenizer reads
them as unknown (measured, esm 3.2.1 and 3.4.1).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from gateway.core import letters, tracks
from gateway.core.problems import FieldError
from gateway.core.strict_json import MAX_ERRORS
from gateway.core.tracks import FUNCTION, Track

# Below this a float32 division by the temperature overflows; above its inverse the softmax does (sampling.py).
TINY, HUGE = 1e-38, 1e38
# Annealing squares it first (generation.py, _get_annealed_temperature), and 3.4e38 is the largest float32.
HUGE_ANNEALED = 1.8e19


@dataclass(frozen=True, slots=True)
class Draw:
    """One track that is sampled. None stands for what was left out or what only the upstream can tell.

    `at` is where its parameters are, `masked_at` where its masks would be and `mask` how one is written there.
    `positions` are those of the whole input, `masked` those of them that are sampled.
    """

    track: Track
    temperature: float | None
    annealing: bool
    invalid_ids: Collection[int]
    at: str = ""
    num_steps: int | None = None
    positions: int = 0
    masked: int | None = None
    masked_at: str = ""
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Lettered:
    """The tracks of a protein in letters, by name, and its residues. `function` has [label, first, last] rows."""

    tracks: Mapping[str, Any]
    residues: int


S = TypeVar("S", Draw, Lettered)


@dataclass(frozen=True, slots=True)
class SamplerCheck(Generic[S]):
    """One row: what is refused, on which endpoints, how that is known, and the function that finds it."""

    name: str
    refuses: str
    endpoints: Sequence[str]
    source: str
    find: Callable[[S], Iterator[FieldError]]


def _steps(draw: Draw) -> Iterator[FieldError]:
    if draw.num_steps is not None and draw.num_steps > draw.positions:
        yield FieldError(f"{draw.at}/num_steps", f"must not exceed the {draw.positions} positions of the input")


def _temperature(draw: Draw) -> Iterator[FieldError]:
    given, at = draw.temperature or 0, f"{draw.at}/temperature"
    # Annealing would lift a tiny one to 1e-6; who means that writes 0.
    if 0 < given < TINY or given > HUGE:
        yield FieldError(at, "should be 0, or between 1e-38 and 1e38: float32 overflows beyond")
    elif draw.annealing and given > HUGE_ANNEALED and draw.track != FUNCTION:
        yield FieldError(at, "should be at most 1.8e19 with temperature_annealing, which squares it: float32 overflows")


def _function_at_zero(draw: Draw) -> Iterator[FieldError]:
    if draw.track == FUNCTION and draw.temperature == 0 and not draw.annealing:
        yield FieldError(
            f"{draw.at}/temperature", "0 without temperature_annealing divides by zero on the function track"
        )


def _ids(draw: Draw) -> Iterator[FieldError]:
    if draw.track != FUNCTION and set(draw.track.ordinary) <= set(draw.invalid_ids):
        yield FieldError(f"{draw.at}/invalid_ids", "leaves no id that could be sampled on this track")


def _masked(draw: Draw) -> Iterator[FieldError]:
    if draw.masked is not None and draw.masked < 1:
        yield FieldError(draw.masked_at, f"has no masked position ({draw.mask}), so nothing can be generated")


def _states(protein: Lettered) -> Iterator[FieldError]:
    accepted = f"the eight states {' '.join(tracks.SS8_LETTERS)} and `_` (masked) are accepted"
    fault = letters.fault(protein.tracks.get("secondary_structure") or "_", tracks.SS8_LETTERS + "_", accepted)
    if fault is not None:
        yield FieldError("/inputs/secondary_structure", fault)


def _words(protein: Lettered) -> Iterator[FieldError]:
    for i, area in enumerate(protein.tracks.get("sasa") or ()):
        if isinstance(area, str) and area not in tracks.SASA_WORDS:
            yield FieldError(
                f"/inputs/sasa/{i}", "should be a number, null (masked), or one of the tokenizer's own words, as <unk>"
            )


def _annotations(protein: Lettered) -> Iterator[FieldError]:
    for i, (_, first, last) in enumerate(protein.tracks.get("function") or ()):
        if not 1 <= first <= last <= protein.residues:
            yield FieldError(
                f"/inputs/function/{i}", f"should be [label, first, last] with residues from 1 to {protein.residues}"
            )


_LETTERED: Final = ("encode", "generate")

# The order is that of the errors.
DRAWS: Final[Sequence[SamplerCheck[Draw]]] = (
    SamplerCheck(
        "steps_above_positions",
        "`num_steps` above the number of positions",
        ("generate_tensor",),
        "the API's page of generate_tensor; the published sampler lowers it instead (esm/utils/generation.py)",
        _steps,
    ),
    SamplerCheck(
        "temperature_range",
        "a temperature between 0 and 1e-38, or above 1e38; with annealing above 1.8e19 (not on the function track)",
        ("generate_tensor", "generate", "forward_and_sample"),
        "float32 overflows (esm/utils/sampling.py, sample_logits); measured",
        _temperature,
    ),
    SamplerCheck(
        "function_at_zero",
        "the function track at temperature 0 without annealing",
        ("generate_tensor", "generate", "forward_and_sample"),
        "division by zero (esm/utils/sampling.py, sample_function_logits); measured",
        _function_at_zero,
    ),
    SamplerCheck(
        "all_ids_invalid",
        "`invalid_ids` with every id of the sampled track; not on the function track, which ignores them",
        ("generate_tensor", "generate", "forward_and_sample", "inverse_fold"),
        '"no valid ids to sample from" (esm/utils/sampling.py, sample_logits); measured',
        _ids,
    ),
    SamplerCheck(
        "nothing_masked",
        "a generated track on which nothing is masked: no id of the mask; in letters no `_` in sequence and "
        "secondary_structure, no null in sasa, coordinates that are not discarded "
        "(`condition_on_coordinates_only` false) for structure, an InterPro annotation for function",
        ("generate_tensor", "generate"),
        '"input has no masks" (esm/utils/generation.py); measured; annotations by the source',
        _masked,
    ),
)
PROTEINS: Final[Sequence[SamplerCheck[Lettered]]] = (
    SamplerCheck(
        "secondary_structure_letters",
        "a letter of secondary_structure that is none of the eight states and not `_`",
        _LETTERED,
        "KeyError (esm/tokenization/ss_tokenizer.py, encode); measured",
        _states,
    ),
    SamplerCheck(
        "sasa_words",
        "a word in sasa that the tokenizer does not have; it has `<pad>`, `<motif>`, `<unk>` and its sixteen ranges, "
        "as `<0.8-4.0>`",
        _LETTERED,
        "KeyError (esm/tokenization/sasa_tokenizer.py, encode); measured",
        _words,
    ),
    SamplerCheck(
        "annotation_outside",
        "a function annotation that does not lie within the residues, the first of which is 1",
        _LETTERED,
        "AssertionError (esm/utils/function/encode_decode.py, encode_function_annotations); measured",
        _annotations,
    ),
)
CHECKS: Final[Sequence[SamplerCheck[Any]]] = (*DRAWS, *PROTEINS)
NAMES: Final = frozenset(check.name for check in CHECKS)


def draw_faults(endpoint: str, draw: Draw, skipped: Collection[str]) -> list[FieldError]:
    """Why the sampler would fail on this draw, by the checks of the endpoint that are not switched off."""
    return _faults(DRAWS, endpoint, draw, skipped)


def letter_faults(endpoint: str, protein: Lettered, skipped: Collection[str]) -> list[FieldError]:
    """Why a protein in letters could not be encoded, by the checks of the endpoint that are not switched off."""
    return _faults(PROTEINS, endpoint, protein, skipped)


def _faults(checks: Sequence[SamplerCheck[S]], endpoint: str, subject: S, skipped: Collection[str]) -> list[FieldError]:
    found: list[FieldError] = []
    for check in checks:
        if endpoint in check.endpoints and check.name not in skipped:
            for error in check.find(subject):
                found.append(error)
                if len(found) == MAX_ERRORS:
                    return found
    return found


def skipped_checks(switches: Mapping[str, bool]) -> frozenset[str]:
    """The names that are switched off."""
    return frozenset(name for name, on in switches.items() if not on)


def unknown_checks(names: Collection[str]) -> list[str]:
    """Names that no check has."""
    return sorted(set(names) - NAMES)
