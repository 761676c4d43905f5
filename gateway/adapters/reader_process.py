"""The worker's side of its reader process: starts it when it is first needed, gives it one job at a time, replaces it.

A body that ends it is refused, unless it was ended from outside: then the next process reads it once more.
"""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from gateway.adapters.reader_child import CPU_S, CPU_S_PER_MIB
from gateway.adapters.reader_frames import LENGTH, frame, open_region, put, take
from gateway.core import judge_codec
from gateway.core.answer_model import JudgeConfig, Judgement, Question
from gateway.core.call_codec import call_of, problem_of
from gateway.core.metrics import READER_JOBS
from gateway.core.problems import BODY_TOO_COMPLEX, READER_UNAVAILABLE, Problem
from gateway.core.types import Call
from gateway.flow.beside import beside
from gateway.ports import Meter

Command = Callable[[int, int, int], Sequence[str]]
START_S, PATIENCE = 20.0, 4.0
"""How long a start may take, and how much longer than its CPU time a job may on a busy machine."""
_STOPPED_BY = (signal.SIGPROF, signal.SIGABRT, signal.SIGSEGV)
"""Out of time, or out of memory where that is no exception."""


class ReaderLost(Exception):
    """The process ended within a job; `by_job`: for what it was reading; `killed`: by a signal of somebody's."""

    def __init__(self, status: int) -> None:
        super().__init__("the reader process ended")
        self.by_job, self.killed = -status in _STOPPED_BY, status < 0


class ReaderProcess:
    """`ports.Reader`. `command` makes the command line from the descriptors of the socket and of the two regions."""

    def __init__(self, command: Command, settings_line: bytes, meter: Meter, report: Callable[[str], None]) -> None:
        self._command, self._settings_line, self._meter, self._report = command, settings_line, meter, report
        self._lock = asyncio.Lock()
        self._child: Child | None = None
        self._working: set[asyncio.Task[Any]] = set()

    async def call(self, endpoint: str, query: str, raw: bytes) -> Call:
        document, (body,) = await self._read({"kind": "body", "endpoint": endpoint, "query": query}, raw)
        return call_of(document["call"], body)

    async def explained(
        self, endpoint: str, query: str, raw: bytes, *, in_full: bool
    ) -> tuple[Call, Mapping[str, Any]]:
        job = {"kind": "explanation", "endpoint": endpoint, "query": query, "in_full": in_full}
        document, (body, *texts) = await self._read(job, raw)
        members = zip(document["members"], map(orjson.Fragment, texts), strict=True)
        return call_of(document["call"], body), dict(members)

    async def judged(self, question: Question, body: bytes, config: JudgeConfig) -> Judgement:
        job = {"kind": "answer", **judge_codec.job_of(question, config), "call_bytes": len(question.body)}
        document, parts = await self._read(job, question.body, body)
        return judge_codec.judgement_of(document, parts)

    async def close(self) -> None:
        """End the process; whoever still waits is told that nobody reads."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._end()

    async def _read(self, job: Mapping[str, Any], *raw: bytes) -> tuple[Mapping[str, Any], list[bytes]]:
        """In a task of its own: a caller who hangs up must not leave half a job in the pipe."""
        task = asyncio.ensure_future(self._in_turn({**job, "size": sum(map(len, raw))}, raw))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await asyncio.shield(task)

    async def _in_turn(self, job: Mapping[str, Any], raw: Sequence[bytes]) -> tuple[Mapping[str, Any], list[bytes]]:
        async with self._lock:
            for last in (False, True):
                try:
                    document, parts = await self._exchange(job, raw)
                    break
                except ReaderLost as lost:
                    self._meter.count(READER_JOBS, job["kind"], "stopped" if lost.by_job else "lost")
                    if lost.by_job or (last and lost.killed):
                        raise Problem(BODY_TOO_COMPLEX) from None
                    if last:
                        raise Problem(READER_UNAVAILABLE, headers={"Retry-After": "2"}) from None
                except OSError as error:
                    self._meter.count(READER_JOBS, job["kind"], "lost")
                    self._report(f"the reader process cannot be started: {error.strerror}")
                    raise Problem(READER_UNAVAILABLE, headers={"Retry-After": "2"}) from None
        outcome = "stopped" if "stopped" in document else "refused" if "problem" in document else "done"
        self._meter.count(READER_JOBS, job["kind"], outcome)
        if outcome == "stopped":
            raise Problem(BODY_TOO_COMPLEX)
        if outcome == "refused":
            raise problem_of(document["problem"])
        return document, parts

    async def _exchange(self, job: Mapping[str, Any], raw: Sequence[bytes]) -> tuple[Mapping[str, Any], list[bytes]]:
        if self._child is None or self._child.has_ended():
            await self._end()
            self._child = await Child.start(self._command, self._settings_line)
        child = self._child
        seconds = START_S + PATIENCE * (CPU_S + CPU_S_PER_MIB * job["size"] / 2**20)
        try:
            async with asyncio.timeout(seconds):
                return await child.exchange(job, raw)
        except TimeoutError:
            await self._end()
            raise ReaderLost(-signal.SIGPROF) from None
        except EOFError:
            raise ReaderLost(await child.process.wait()) from None
        except BaseException:
            await self._end()
            raise

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


class Child:
    """One reader process, its socket and its regions."""

    def __init__(self, process: Process, control: socket.socket, asked: int, told: int) -> None:
        self.process, self._control, self._asked, self._told = process, control, asked, told

    @classmethod
    async def start(cls, command: Command, settings_line: bytes) -> "Child":
        asked, told = open_region("bodies"), open_region("results")
        ours, theirs = socket.socketpair()
        try:
            descriptors = (theirs.fileno(), asked, told)
            process = await asyncio.create_subprocess_exec(
                *command(*descriptors),
                stdin=PIPE,
                stdout=DEVNULL,
                pass_fds=descriptors,
            )
        except BaseException:
            ours.close()
            os.close(asked)
            os.close(told)
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        assert process.stdin is not None
        process.stdin.write(settings_line + b"\n")  # it stays open: the process ends when it closes
        return cls(process, ours, asked, told)

    def has_ended(self) -> bool:
        return self.process.returncode is not None

    async def exchange(self, job: Mapping[str, Any], raw: Sequence[bytes]) -> tuple[Mapping[str, Any], list[bytes]]:
        """Raises EOFError where the process ends."""
        loop = asyncio.get_running_loop()
        await beside(job["size"], put, self._asked, raw)
        try:
            await loop.sock_sendall(self._control, frame(job))
            (length,) = LENGTH.unpack(await self._receive(LENGTH.size))
            document = orjson.loads(await self._receive(length))
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError from None
        sizes = document["sizes"]
        return document, await beside(sum(sizes), take, self._told, sizes)

    async def _receive(self, size: int) -> bytes:
        loop, content = asyncio.get_running_loop(), b""
        while len(content) < size:
            part = await loop.sock_recv(self._control, size - len(content))
            if not part:
                raise EOFError
            content += part
        return content

    async def end(self) -> None:
        if not self.has_ended():
            self.process.kill()
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()
        self._control.close()
        os.close(self._asked)
        os.close(self._told)
