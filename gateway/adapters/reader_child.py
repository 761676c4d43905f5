"""The reader process: reads one body or answer after the other, at low priority, with bounded time and memory.

Time is counted in CPU seconds, so a busy machine refuses nobody. What takes longer ends this process by a signal, also
within a function that never returns to Python; the worker starts another. It ends with its worker.
"""

import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from gateway import endpoints
from gateway.adapters.reader_frames import frame, put, read_frame, take
from gateway.core import judge_codec
from gateway.core.answer_model import judge
from gateway.core.call_codec import call_document, problem_document
from gateway.core.endpoint import ParseConfig
from gateway.core.explanation import ExplainedCall, told_of_body
from gateway.core.problems import Problem

NICE = 5
MEMORY_BYTES = 2**30
"""For the work alone; a good body of 32 MiB takes a third of it."""
CPU_S, CPU_S_PER_MIB = 2.0, 0.25
KEEP_BELOW_BYTES = 2**28
"""A process that has become larger ends after its answer, to give the memory back."""

Reply = tuple[Mapping[str, Any], Sequence[bytes]]


def serve(control: socket.socket, asked: int, told: int, rules: ParseConfig) -> None:
    """Answer until the worker ends. `asked` and `told` are the regions of bodies and of results."""
    os.nice(NICE)
    _limit_memory()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    reader = BodyReader(asked, rules)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    while (job := read_frame(control)) is not None:
        signal.setitimer(signal.ITIMER_PROF, CPU_S + CPU_S_PER_MIB * job["size"] / 2**20)
        document, parts = reader.read(job)
        put(told, parts)
        signal.setitimer(signal.ITIMER_PROF, 0)
        control.sendall(frame({**document, "sizes": list(map(len, parts))}))
        parts = ()
        if "stopped" in document or _memory_bytes() > KEEP_BELOW_BYTES:
            return


class BodyReader:
    """What is done with a job, by its kind."""

    def __init__(self, region: int, rules: ParseConfig) -> None:
        self._region, self._rules = region, rules
        self._kinds: Mapping[str, Callable[[Mapping[str, Any]], Reply]] = {
            "body": self._body,
            "explanation": self._explanation,
            "answer": self._answer,
        }

    def read(self, job: Mapping[str, Any]) -> Reply:
        try:
            return self._kinds[job["kind"]](job)
        except Problem as problem:
            return {"problem": problem_document(problem)}, ()
        except MemoryError:
            return {"stopped": True}, ()

    def _body(self, job: Mapping[str, Any]) -> Reply:
        (raw,) = take(self._region, [job["size"]])
        call = _endpoint(job).parse(raw, job["query"], self._rules)
        return {"call": call_document(call)}, (call.body,)

    def _explanation(self, job: Mapping[str, Any]) -> Reply:
        (raw,) = take(self._region, [job["size"]])
        explained = ExplainedCall.of(_endpoint(job), raw, job["query"], self._rules)
        members = told_of_body(explained.normalized, self._rules.rule_set, in_full=job["in_full"])
        texts = [orjson.dumps(value) for value in members.values()]
        return {"call": call_document(explained.call), "members": list(members)}, (explained.call.body, *texts)

    def _answer(self, job: Mapping[str, Any]) -> Reply:
        asked, body = take(self._region, [job["call_bytes"], job["size"] - job["call_bytes"]])
        question, config = judge_codec.question_of(job, asked)
        return judge_codec.judgement_document(judge(_endpoint(job).answer, question, body, config))


def _endpoint(job: Mapping[str, Any]) -> endpoints.AnyEndpoint:
    return endpoints.named(job["endpoint"])


def _limit_memory() -> None:
    """So much address space more than now; what asks for more gets a MemoryError, or ends the process."""
    pages = _statm()
    if pages is not None:
        most = pages[0] * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _memory_bytes() -> int:
    pages = _statm()
    return 0 if pages is None else pages[1] * resource.getpagesize()


def _statm() -> tuple[int, int] | None:
    """Pages of address space and of memory; None where the system does not say (proc(5))."""
    try:
        with open("/proc/self/statm", "rb") as file:
            size, resident, *_ = file.read().split()
    except OSError:
        return None
    return int(size), int(resident)
