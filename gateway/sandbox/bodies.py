"""What the sandbox upstream reads from a request, and the two statuses with which it refuses.

422 for a request of the wrong form, 500 for one that would crash the model: the real service fails so, and tests can
prove that the gateway refused it first. Parameters that the sandbox has no use for are ignored, as upstream does.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Inputs = dict[str, Any]
B = TypeVar("B", bound=BaseModel)


class RefusedError(Exception):
    """An answer that is an error: the status and one sentence, which never quotes the request."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())

    model: Annotated[str, Field(min_length=1)]
    potential_sequence_of_concern: bool | None = None


class Prompt(_Body):
    """encode, decode."""

    inputs: Inputs


class Generate(Prompt):
    """generate_tensor and generate, with the defaults of the API page."""

    track: str
    invalid_ids: list[int] = []
    schedule: Literal["cosine", "linear"] = "cosine"
    strategy: Literal["random", "entropy"] = "random"
    num_steps: Annotated[int, Field(ge=1, le=100)] = 20
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    temperature_annealing: bool = True
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    condition_on_coordinates_only: bool = True


class TrackSampling(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    only_sample_masked_tokens: bool = True
    invalid_ids: list[int] = []
    topk_logprobs: Annotated[int, Field(ge=0, le=64)] = 0


class Embedding(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    sequence: bool = False
    per_residue: bool = False


class ForwardAndSample(Prompt):
    sampling_config: dict[str, TrackSampling | None] = {}
    embedding_config: Embedding | None = None


class LogitsConfig(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    sequence: bool = False
    structure: bool = False
    secondary_structure: bool = False
    sasa: bool = False
    function: bool = False
    residue_annotations: bool = False
    return_embeddings: bool = False
    return_mean_embedding: bool = False
    return_hidden_states: bool = False
    return_mean_hidden_states: bool = False
    ith_hidden_layer: int = -1


class Logits(Prompt):
    logits_config: LogitsConfig = LogitsConfig()


class Fold(_Body):
    sequence: Annotated[str, Field(min_length=1)]


class InverseFoldingConfig(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    invalid_ids: list[int] = []
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0


class InverseFold(_Body):
    coordinates: Annotated[list[Any], Field(min_length=1)]
    inverse_folding_config: InverseFoldingConfig = InverseFoldingConfig()


class Chain(BaseModel):
    """One chain of an all-atom complex, as often as it has ids: a polymer in letters, or a ligand."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    id: str | list[str] = "A"
    type: str = "protein"
    sequence: str | None = None
    smiles: str | None = None
    ccd: list[str] | None = None

    @property
    def copies(self) -> int:
        return 1 if isinstance(self.id, str) else len(self.id)

    @property
    def parts(self) -> str | list[str]:
        """Its tokens: residues, or roughly the atoms of a ligand."""
        return self.sequence or self.smiles or self.ccd or ""


class AllAtomInput(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    sequences: Annotated[list[Chain], Field(min_length=1)]


class FoldAllAtom(_Body):
    all_atom_input: AllAtomInput


def lenient(value: Any) -> Any:
    """A parsed body as a lax reader takes it: `5.0` is 5, and a member that is null is absent."""
    if isinstance(value, dict):
        # Coordinates are numbers anyway, and many.
        return {
            name: member if name == "coordinates" else lenient(member)
            for name, member in value.items()
            if member is not None
        }
    if isinstance(value, list):
        return [lenient(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read(body_type: type[B], body: object) -> B:
    """The body as a value, or 422 naming the fields that are wrong."""
    try:
        return body_type.model_validate(body)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors()[:5])
        raise RefusedError(422, f"invalid request: {faults}") from None
