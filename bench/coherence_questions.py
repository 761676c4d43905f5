"""What is asked in `bench.coherence`: calls of two models and two classes, in the shared cache and in a namespace."""

import orjson

from bench.coherence_model import Question
from bench.coherence_world import MASKS, MODELS

USERS = ("ada", "bea", "cyd")
NAMESPACE = "paper"
EXACT = {"strategy": "entropy", "temperature_annealing": False}
PINNED = {"strategy": "random", "temperature_annealing": True}
QUESTIONS = {
    question.name: question
    for question in (
        Question("exact 0", MODELS[0]),
        Question("pinned 0", MODELS[0]),
        Question("exact 1", MODELS[1]),
        Question("exact 2", MODELS[0], NAMESPACE),
        Question("pinned 3", MODELS[1], NAMESPACE),
    )
}


def body_of(question: Question) -> bytes:
    kind, number = question.name.split()
    steps = {"num_steps": 2 + int(number), **(EXACT if kind == "exact" else PINNED)}
    inputs = {"sequence": [0, *[32] * MASKS, 2]}
    return orjson.dumps({"model": question.model, "track": "sequence", "temperature": 0, "inputs": inputs, **steps})
