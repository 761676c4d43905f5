"""Endpoints that take a protein in raw tokens and generate nothing: decode, forward_and_sample, logits.

The tracks are those of generate_tensor, checked in the same way; the ESM C models take the sequence track alone. Only
the members that were given are forwarded, because the two families of models differ in what they accept. One forward
pass each, so the price is the number of tokens. Which tokens make sense is up to the model.
"""

from collections.abc import Sequence
from typing import Any

from gateway.core.endpoint import Body, NormalizedBody, ParseConfig
from gateway.core.model_shapes import Wanted, too_large
from gateway.core.problems import FieldError
from gateway.endpoints.generate_tensor import Inputs, forwarded, read_inputs, refuse


class TokensBody(Body):
    """The members that these bodies share."""

    model: str
    inputs: Inputs
    potential_sequence_of_concern: bool | None = None


def normalize(asked: TokensBody, rules: ParseConfig) -> NormalizedBody:
    """The body as given, tracks in their normal form, the flag explicit."""
    inputs, n = read_inputs(asked.inputs, rules.max_tokens)
    given = {name: track for name, track in forwarded(inputs).items() if name in asked.inputs.model_fields_set}
    body: dict[str, Any] = {
        **asked.model_dump(exclude={"inputs"}, exclude_unset=True),
        "inputs": given,
        "potential_sequence_of_concern": bool(asked.potential_sequence_of_concern),
    }
    return NormalizedBody(body=body, units=n, length=n)


def refuse_unfit(
    asked: TokensBody, wanted: Wanted, n: int, at: str, rules: ParseConfig, remedies: Sequence[str]
) -> None:
    """A 422 problem for an answer that is larger than what is taken from the upstream."""
    reason = too_large(asked.model, wanted, n, rules.max_answer_bytes, remedies)
    if reason is not None:
        refuse([FieldError(at, reason)])
