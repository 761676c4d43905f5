"""The reader process: what it reads, how it ends, and that it never takes anything else with it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from gateway import endpoints
from gateway.adapters.reader_process import ReaderProcess
from gateway.cli.serve import reader_command
from gateway.core.answer_model import JudgeConfig, Question, judge
from gateway.core.endpoint import ParseConfig
from gateway.core.explanation import ExplainedCall, told_of_body
from gateway.core.problems import BODY_TOO_COMPLEX, CALL_INVALID, READER_UNAVAILABLE, Problem
from gateway.settings import Settings
from gateway.wiring.cache_config import parse_config
from gateway.wiring.reader import reader_process
from tests.endpoints.hostile import MADE_OF, coordinates, tensor
from tests.fakes.world import FakeMeter
from tests.flow.harness import FIT, a_call

SETTINGS = Settings.model_validate({"models": {"m": 2.0}, "upstream": {"url": "http://user:secret@upstream"}})
RULES: ParseConfig = parse_config(SETTINGS)
GOOD = tensor(b'"sequence":[0,5.0,32,2]')[1]
LARGE = tensor(b'"coordinates":' + coordinates(200_000))[1]


def parsed(raw: bytes) -> Any:
    endpoint = endpoints.find("/api/v1/generate_tensor")
    assert endpoint is not None
    return endpoint.parse(raw, "", RULES)


@asynccontextmanager
async def opened(**parts: Any) -> AsyncIterator[ReaderProcess]:
    said: list[str] = parts.pop("said", [])
    meter = parts.pop("meter", None) or FakeMeter()
    reader = reader_process(parts.pop("command", reader_command), SETTINGS, meter, said.append)
    try:
        yield reader
    finally:
        await reader.close()


def played(act: Callable[[ReaderProcess], Awaitable[Any]], **parts: Any) -> Any:
    async def whole() -> Any:
        async with opened(**parts) as reader:
            return await act(reader)

    return asyncio.run(whole())


def pid_of(reader: ReaderProcess) -> int:
    child = reader._child
    assert child is not None
    return child.process.pid


def test_a_call_comes_back_as_if_it_had_been_read_here() -> None:
    async def act(reader: ReaderProcess) -> None:
        for raw in (GOOD, LARGE, tensor(b'"sequence":[0,32,2]', b',"potential_sequence_of_concern":true')[1]):
            assert await reader.call("generate_tensor", "", raw) == parsed(raw)

    played(act)


def test_a_refusal_comes_back_as_if_it_had_been_said_here() -> None:
    async def act(reader: ReaderProcess) -> None:
        for kind in ("sequence of wrong ids", "unknown members", "not UTF-8", "coordinates of booleans"):
            name, raw = MADE_OF[kind](50_000)
            with pytest.raises(Problem) as there:
                await reader.call(name, "", raw)
            with pytest.raises(Problem) as here:
                parsed(raw)
            assert there.value.document("r") == here.value.document("r")

    played(act)


@pytest.mark.parametrize("in_full", [False, True])
def test_an_explanation_comes_back_as_texts_that_say_the_same(in_full: bool) -> None:
    async def act(reader: ReaderProcess) -> None:
        call, members = await reader.explained("generate_tensor", "", LARGE, in_full=in_full)
        endpoint = endpoints.find("/api/v1/generate_tensor")
        assert endpoint is not None
        here = ExplainedCall.of(endpoint, LARGE, "", RULES)
        assert call == here.call
        expected = told_of_body(here.normalized, RULES.rule_set, in_full=in_full)
        assert orjson.loads(orjson.dumps(members)) == orjson.loads(orjson.dumps(expected))

    played(act)


LOGITS = Question("logits", "/api/v1/logits", b"{}", 8)
TENSOR = Question("generate_tensor", "/api/v1/generate_tensor", a_call().body, 5)


@pytest.mark.parametrize(
    ("question", "body"),
    [
        (LOGITS, b'{"logits":{"sequence":[' + b"0.12345," * 500_000 + b"1]}}"),
        (LOGITS, b'{"logits":{"sequence":[' + b"0.12345," * 500_000 + b"1]}"),
        (LOGITS, b'{"logits":{"sequence":[' + b"0.12345," * 500_000 + b'"x"]}}'),
        (LOGITS, b'{"logits":{"sequence":[' + b"0.12345," * 500_000 + b'1]},"note":"x"}'),
        (TENSOR, FIT),
        (TENSOR, b'{"outputs":{"sequence":[1]}}'),
        (TENSOR, b'{"outputs":[1]}'),
        (TENSOR, b""),
    ],
)
@pytest.mark.parametrize("config", [JudgeConfig(), JudgeConfig(check_echo=False, warn=False)])
def test_an_answer_is_worth_there_what_it_is_worth_here(question: Question, body: bytes, config: JudgeConfig) -> None:
    async def act(reader: ReaderProcess) -> None:
        here = judge(endpoints.named(question.endpoint).answer, question, body, config)
        assert await reader.judged(question, body, config) == here

    played(act)


def test_an_answer_takes_no_more_memory_than_itself_in_the_process() -> None:
    """60 MB of small numbers are 950 MiB as objects of Python; the process may have 1 GiB, and ends above 256 MiB."""
    body = b'{"logits":[' + b"1.25," * 12_000_000 + b"1]}"

    async def act(reader: ReaderProcess) -> None:
        assert (await reader.judged(LOGITS, body, JudgeConfig())).verdict == "fit"
        first = pid_of(reader)
        assert (await reader.judged(LOGITS, body, JudgeConfig())).verdict == "fit"
        assert pid_of(reader) == first

    played(act)


def test_a_process_that_was_killed_is_replaced_and_the_body_read_by_the_next() -> None:
    async def act(reader: ReaderProcess) -> None:
        assert await reader.call("generate_tensor", "", GOOD) == parsed(GOOD)
        first = pid_of(reader)
        os.kill(first, signal.SIGSTOP)
        asking = asyncio.ensure_future(reader.call("generate_tensor", "", LARGE))
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        assert await asking == parsed(LARGE)
        assert pid_of(reader) != first

    meter = FakeMeter()
    played(act, meter=meter)


@pytest.mark.parametrize("number", [signal.SIGPROF, signal.SIGABRT, signal.SIGSEGV])
def test_a_body_that_ends_the_process_is_refused_and_the_next_one_read(number: signal.Signals) -> None:
    async def act(reader: ReaderProcess) -> None:
        await reader.call("generate_tensor", "", GOOD)
        first = pid_of(reader)
        os.kill(first, signal.SIGSTOP)
        asking = asyncio.ensure_future(reader.call("generate_tensor", "", LARGE))
        waiting = asyncio.ensure_future(reader.call("generate_tensor", "", GOOD))
        await asyncio.sleep(0)
        os.kill(first, number)
        os.kill(first, signal.SIGCONT)
        with pytest.raises(Problem) as caught:
            await asking
        assert caught.value.type is BODY_TOO_COMPLEX
        assert await waiting == parsed(GOOD)

    played(act)


def slow_rules(monkeypatch: pytest.MonkeyPatch, **changed: str) -> Callable[[int, int, int], list[str]]:
    """The command of a reader whose limits are others."""
    lines = "; ".join(f"c.{name} = {value}" for name, value in changed.items())
    code = f"import gateway.adapters.reader_child as c; {lines}; from gateway.cli.main import main; main()"

    def command(control: int, bodies: int, results: int) -> list[str]:
        words = list(reader_command(control, bodies, results))
        at = words.index("-m")
        return [*words[:at], "-c", code, *words[at + 2 :]]

    return command


@pytest.mark.parametrize(
    "limits",
    [
        {"CPU_S": "0.02", "CPU_S_PER_MIB": "0"},
        {"MEMORY_BYTES": "2**24"},
        {"MEMORY_BYTES": "2**25"},
    ],
)
def test_what_takes_too_much_is_a_problem_of_its_own_body_alone(
    limits: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expensive = tensor(b'"coordinates":' + coordinates(3_000_000))[1]

    async def act(reader: ReaderProcess) -> None:
        with pytest.raises(Problem) as caught:
            await reader.call("generate_tensor", "", expensive)
        assert caught.value.type is BODY_TOO_COMPLEX
        with pytest.raises(Problem) as caught:
            await reader.judged(LOGITS, b'{"a":"' + b"\\n1e999" * 5_000_000 + b'"}', JudgeConfig())
        assert caught.value.type in (BODY_TOO_COMPLEX, READER_UNAVAILABLE)  # it may end before it can say why
        with pytest.raises(Problem) as caught:
            await reader.call("generate_tensor", "", b'{"model":"m"}')
        assert caught.value.type is CALL_INVALID

    played(act, command=slow_rules(monkeypatch, **limits))


def test_a_process_that_cannot_be_started_refuses_with_503_and_says_so() -> None:
    said: list[str] = []

    async def act(reader: ReaderProcess) -> None:
        with pytest.raises(Problem) as caught:
            await reader.call("generate_tensor", "", GOOD)
        assert caught.value.type is READER_UNAVAILABLE
        with pytest.raises(Problem) as caught:
            await reader.judged(LOGITS, b"{}", JudgeConfig())
        assert caught.value.type is READER_UNAVAILABLE

    played(act, command=lambda *_: ["/nowhere/python"], said=said)
    assert said
    assert "cannot be started" in said[0]
    played(act, command=lambda *_: ["/bin/false"])


def test_a_caller_who_hangs_up_leaves_the_pipe_in_order() -> None:
    async def act(reader: ReaderProcess) -> None:
        for _ in range(3):
            asking = asyncio.ensure_future(reader.call("generate_tensor", "", LARGE))
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert await reader.call("generate_tensor", "", GOOD) == parsed(GOOD)

    played(act)


def test_it_ends_with_its_worker() -> None:
    async def act(reader: ReaderProcess) -> None:
        await reader.call("generate_tensor", "", GOOD)
        child = reader._child
        assert child is not None
        assert child.process.stdin is not None
        child.process.stdin.close()  # the kernel does this however the worker ends
        assert await child.process.wait() == -signal.SIGTERM

    played(act)


def test_neither_a_body_nor_a_secret_is_in_its_command_line() -> None:
    async def act(reader: ReaderProcess) -> None:
        await reader.call("generate_tensor", "", GOOD)
        with open(f"/proc/{pid_of(reader)}/cmdline", "rb") as file:  # noqa: ASYNC230
            line = file.read()
        assert b"secret" not in line
        assert b"sequence" not in line

    played(act)
    assert b"secret" not in reader_process(reader_command, SETTINGS, FakeMeter(), print)._settings_line
