"""POST /api/v1/msa: a multiple sequence alignment for a sequence, which is in the query and not in the body.

Only esm 3.2 calls it. The request names no model, so its model is `msa` with weight 1: a key or an approval that is
limited to certain models needs `msa` among them. The query is serialised again for the upstream. `use_env` searches a
second collection of databases, so it counts twice; how deep the alignment gets is not in the request.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from gateway.core.endpoint import Body, Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints._answers.msa import ANSWER
from gateway.endpoints._letters import ENDS, bounded, only


class Query(Body):
    """The parameters; chains are separated by `:` or `|`."""

    sequence: Annotated[
        str, *only(r"A-Za-z_|:.\-", "letters, `_`, `.`, `-`, and `:` or `|` between chains are accepted")
    ]
    use_env: Literal["true", "false", "True", "False"] | None = None


class Msa(Body):
    """A body of nothing but the flag."""

    query: Query
    potential_sequence_of_concern: bool | None = None


def normalize(asked: Msa, rules: ParseConfig) -> NormalizedBody:
    """The flag only where it was given; the parameters in one order and spelling."""
    sequence = asked.query.sequence
    bounded(len(sequence), "/query/sequence", rules.max_tokens)
    parameters = {"sequence": sequence}
    if asked.query.use_env is not None:
        parameters["use_env"] = asked.query.use_env.lower()
    body: dict[str, Any] = {}
    if "potential_sequence_of_concern" in asked.model_fields_set:
        body["potential_sequence_of_concern"] = bool(asked.potential_sequence_of_concern)
    n = len(sequence) + ENDS
    searches = 2 if parameters.get("use_env") == "true" else 1
    return NormalizedBody(body=body, units=n * searches, length=n, query="?" + urlencode(parameters))


ENDPOINT = Endpoint(
    "msa",
    Msa,
    normalize,
    price="tokens (residues + 2), twice with `use_env`",
    answer=ANSWER,
    query_model=Query,
    fixed_model="msa",
)
