"""POST /api/v1/encode: a protein in letters to raw tokens, by ESM3 or (the sequence alone) by ESM C.

One pass over the residues, so the price is the number of tokens.
"""

from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints._answers.encode import ANSWER
from gateway.endpoints._letters import ENDS, Protein, read_protein


class Encode(Body):
    """The body as the SDK sends it."""

    model: str
    inputs: Protein
    potential_sequence_of_concern: bool | None = None


def normalize(asked: Encode, rules: ParseConfig) -> NormalizedBody:
    """The protein as given, the flag explicit."""
    inputs, residues = read_protein("encode", asked.inputs, rules)
    n = residues + ENDS
    flag = bool(asked.potential_sequence_of_concern)
    return NormalizedBody(
        body={"model": asked.model, "inputs": inputs, "potential_sequence_of_concern": flag}, units=n, length=n
    )


ENDPOINT = Endpoint("encode", Encode, normalize, price="tokens (residues + 2)", answer=ANSWER)
