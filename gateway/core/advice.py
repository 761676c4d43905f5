"""What a caller should know about an answer that the answer itself does not say, in one sentence with the remedy.

Two topics: temperature 0 that does not make a call reproducible, and a namespace that keeps what was meant to differ.
A frozen namespace says nothing: it answers with the very bytes that were recorded.
"""

from typing import Literal

from gateway.core.cache_plan import CachePlan
from gateway.core.types import Call, DeterminismClass

Topic = Literal["pinned", "recorded"]
TOPICS: tuple[Topic, ...] = ("pinned", "recorded")


def topic(plan: CachePlan, call: Call, *, kept: bool) -> Topic | None:
    """What there is to say about the answer to this call; `kept` is whether it is one from before."""
    if call.endpoint != "generate_tensor":
        return None
    cls = call.determinism.cls
    if plan.namespace is None:
        return "pinned" if cls is DeterminismClass.PINNED else None
    drawn = cls is DeterminismClass.SAMPLED or cls is DeterminismClass.UNKNOWN
    return "recorded" if drawn and kept and not plan.frozen and plan.directives.sample is None else None


def sentence(about: Topic, plan: CachePlan, call: Call) -> str:
    """What the terminal shows."""
    if about == "pinned":
        why, remedy = call.determinism.reason, call.determinism.remedy
        return f"esm-gateway: temperature 0 does not make this call reproducible ({why}): {remedy}."
    name = plan.namespace
    return (
        f"esm-gateway: this is the first answer to this call, which the namespace {name} keeps for good; "
        f"Cache-Control: namespace={name}, sample=2 asks for another one."
    )
