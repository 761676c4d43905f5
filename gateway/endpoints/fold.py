"""POST /api/v1/fold: coordinates of one protein from its sequence.

esm 3.2 sends a sequence, a model and the flag; esm 3.4 sends the options of ESMFold2 instead and no flag at all, so the
flag is forwarded only where it was sent. Null is forwarded too, because it is a choice (`msa_max_depth`). A packed
alignment is unpacked (at most `request.max_unpacked_bytes`), checked like a plain one, and forwarded as it came.
"""

from gateway.core import canonical_form
from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints import _folding
from gateway.endpoints._alignments import Msa, read_alignments
from gateway.endpoints._answers.fold import ANSWER
from gateway.endpoints._folding import DRAWN, Folding, as_given, work
from gateway.endpoints._letters import ENDS, Letters, bounded


class Fold(Folding):
    """The body as the SDK sends it."""

    sequence: Letters
    msa: Msa = None


def normalize(asked: Fold, rules: ParseConfig) -> NormalizedBody:
    """The body as given, if it is not too long."""
    bounded(len(asked.sequence), "/sequence", rules.max_tokens)
    n = len(asked.sequence) + ENDS
    alignments, body = read_alignments({"/msa": asked.msa}, rules), as_given(asked)
    named = {**body, "msa": alignments.named("/msa", body.get("msa"))}
    return NormalizedBody(
        body=body,
        units=n * work(asked, alignments.depth),
        length=n,
        canonical=canonical_form.settled(named, _folding.IMPLIED),
        drawn=DRAWN,
    )


ENDPOINT = Endpoint(
    "fold",
    Fold,
    normalize,
    price=f"tokens (residues + 2) x {_folding.PRICE}",
    answer=ANSWER,
    implied=_folding.IMPLIED,
)
