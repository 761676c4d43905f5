"""POST /api/v1/fold: coordinates of one protein from its sequence.

esm 3.2 sends a sequence, a model and the flag; esm 3.4 sends the options of ESMFold2 instead and no flag at all, so the
flag is forwarded only where it was sent. Null is forwarded too, because it is a choice (`msa_max_depth`). A packed
alignment is unpacked (at most `request.max_unpacked_bytes`), checked like a plain one, and forwarded as it came.
"""

from gateway.core.endpoint import Endpoint, NormalizedBody, ParseConfig
from gateway.endpoints import _folding
from gateway.endpoints._alignments import Msa, depths
from gateway.endpoints._answers.fold import ANSWER
from gateway.endpoints._folding import Folding, as_given, work
from gateway.endpoints._letters import ENDS, Letters, bounded


class Fold(Folding):
    """The body as the SDK sends it."""

    sequence: Letters
    msa: Msa = None


def normalize(asked: Fold, rules: ParseConfig) -> NormalizedBody:
    """The body as given, if it is not too long."""
    bounded(len(asked.sequence), "/sequence", rules.max_tokens)
    n = len(asked.sequence) + ENDS
    depth = sum(depths({"/msa": asked.msa}, rules))
    return NormalizedBody(body=as_given(asked), units=n * work(asked, depth), length=n)


ENDPOINT = Endpoint("fold", Fold, normalize, price=f"tokens (residues + 2) x {_folding.PRICE}", answer=ANSWER)
