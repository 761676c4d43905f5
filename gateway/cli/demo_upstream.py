"""The sandbox upstream of a demo as a child process: restarted if it dies, stopped with the demo."""

import asyncio
from asyncio.subprocess import PIPE, Process

from gateway.cli.options import CommandError
from gateway.cli.serve import this_program

START_S = 30.0
END_S = 3.0
HOST = "127.0.0.1"


class DemoUpstream:
    """Supervised like the embedded stores."""

    role = "sandbox"

    def __init__(self, port: int, latency_s: float) -> None:
        self.port, self.url = port, f"http://{HOST}:{port}"
        self._latency_s = latency_s
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def ensure(self) -> bool:
        if self._process is not None and self._process.returncode is None:
            return False
        words = this_program("sandbox", "--port", str(self.port), "--latency", str(self._latency_s))
        # Its standard input stays open for as long as we live: that is how it knows (gateway/adapters/parent_watch.py).
        self._process = await asyncio.create_subprocess_exec(*words, stdin=PIPE, stdout=PIPE, process_group=0)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                said = await self._process.stdout.readline()
        except TimeoutError:
            said = b""
        if not said:
            raise CommandError("The sandbox upstream did not start.")
        return True

    async def wait_exited(self) -> None:
        """Return when it has exited."""
        if self._process is not None:
            await self._process.wait()

    async def end(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
