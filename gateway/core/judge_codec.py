"""A question and a judgement on their way to the reader process and back; bytes travel beside the documents."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.answer_model import JudgeConfig, Judgement, Question


def job_of(question: Question, config: JudgeConfig) -> Mapping[str, Any]:
    return {
        "endpoint": question.endpoint,
        "target": question.target,
        "length": question.length,
        "check_echo": config.check_echo,
        "warn": config.warn,
    }


def question_of(job: Mapping[str, Any], body: bytes) -> tuple[Question, JudgeConfig]:
    question = Question(job["endpoint"], job["target"], body, job["length"])
    return question, JudgeConfig(job["check_echo"], job["warn"])


def judgement_document(judgement: Judgement) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    document = {"verdict": judgement.verdict, "faults": judgement.faults, "repairs": judgement.repairs}
    return document, () if judgement.body is None else (judgement.body,)


def judgement_of(document: Mapping[str, Any], parts: Sequence[bytes]) -> Judgement:
    faults, repairs = tuple(document["faults"]), tuple(document["repairs"])
    return Judgement(document["verdict"], faults, repairs, parts[0] if parts else None)
