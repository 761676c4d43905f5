"""Mutated answers through the judge, and what passes through the model of the SDK and the plain truth."""

import copy
import random
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

import orjson

from bench.answers import sdk, truth
from bench.answers.mutations import MUTATIONS
from bench.answers.recordings import Recording, of_endpoint, recordings
from gateway import endpoints
from gateway.core.answer_model import JudgeConfig, Judgement, Question, judge

CONFIG = JudgeConfig()


@dataclass(slots=True)
class FuzzResult:
    """How often which verdict was given, and every violation."""

    verdicts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


def judged(recording: Recording, body: bytes) -> Judgement:
    question = Question.of(recording.call)
    return judge(endpoints.named(recording.call.endpoint).answer, question, body, CONFIG)


def unmutated() -> list[str]:
    """Violations among the recordings themselves: plain ones are fit to the byte, pickled ones are refused."""
    faults = []
    for recording in recordings():
        judgement = judged(recording, orjson.dumps(recording.answer))
        expected = Judgement("unsafe") if recording.pickled else Judgement("fit")
        if judgement != expected:
            faults.append(f"{recording.name}: {judgement}")
    return faults


def fuzzed(endpoint: str, count: int, seed: int) -> FuzzResult:
    """So many mutated answers of an endpoint."""
    chance, found, seeds = random.Random(f"{seed} {endpoint}"), FuzzResult(), of_endpoint(endpoint)
    began = time.perf_counter()
    for number in range(count):
        recording, mutation = chance.choice(seeds), MUTATIONS[number % len(MUTATIONS)]
        body = mutation(copy.deepcopy(dict(recording.answer)), chance)
        judgement = judged(recording, body)
        found.verdicts[judgement.verdict] += 1
        fault = violation(recording, body, judgement)
        if fault:
            found.faults.append(f"{endpoint}, {recording.name}, {mutation.__name__}, number {number}: {fault}")
    found.seconds = time.perf_counter() - began
    return found


def violation(recording: Recording, body: bytes, judgement: Judgement) -> str:
    """What is wrong about passing this on, or keeping it; "" for nothing."""
    if not judgement.passes:
        return ""
    passed = body if judgement.body is None else judgement.body
    if sdk.unpickled(passed):
        return "code passes"
    if any(unicodedata.category(letter) in ("Cc", "Cf") for text in sdk.printed(passed) for letter in text):
        return "a terminal would obey a warning"
    hollow = truth.hollow(recording, sdk.read(passed)) if judgement.verdict == "fit" else ""
    return f"kept although hollow ({hollow})" if hollow else ""
