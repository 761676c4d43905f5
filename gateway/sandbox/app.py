"""The HTTP side of the stand-in upstream: credentials, the record of calls, and its endpoints for tests.

It speaks JSON only, also to a client that would take pickle, and serves no batch endpoints.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.sandbox import delivery, question
from gateway.sandbox.answers import ENDPOINTS, Asked
from gateway.sandbox.bodies import RefusedError, lenient
from gateway.sandbox.delivery import pause
from gateway.sandbox.faults import Fault, FaultBook, Rules
from gateway.sandbox.record import CallLog, Entry, credential

FAULT_HEADER: Final = "X-Sandbox-Fault"
_MAX_BODY: Final = 256 * 1024 * 1024
_BACKLOG: Final = 1024
# aiohttp reads 0 as "wait for ever"; in-flight calls are not worth waiting for.
_GRACE_S: Final = 0.01

M = TypeVar("M", bound=BaseModel)


class Sandbox:
    """One upstream: its keys, its usual latency, the faults in force and the record of calls."""

    def __init__(
        self, latency_s: float, keys: frozenset[str] | None, *, tells_question: bool, is_lenient: bool
    ) -> None:
        self.latency_s = latency_s
        self.keys = keys
        self.tells_question = tells_question
        self.is_lenient = is_lenient
        self.faults = FaultBook()
        self.log = CallLog()

    def __repr__(self) -> str:
        return f"Sandbox(latency_s={self.latency_s}, {self.log!r}, {self.faults!r})"

    async def call(self, endpoint: str, request: web.Request) -> web.StreamResponse:
        """Any endpoint of the upstream. A caller who hangs up does not stop the work, nor its costs."""
        body = await request.read()
        entry = self.log.begin(endpoint, request.path_qs, request.headers, body)
        try:
            return await self._answer(request, entry, body)
        except RefusedError as refusal:
            return _error(entry, refusal.status, refusal.sentence)
        finally:
            self.log.end(entry)

    async def _answer(self, request: web.Request, entry: Entry, body: bytes) -> web.StreamResponse:
        key = credential(request.headers)
        if not self._accepts(key):
            raise RefusedError(401, "invalid or missing API key")
        fault = self._fault(request.headers, entry.endpoint, key)
        await pause(self.latency_s if fault.latency_s is None else fault.latency_s)
        if fault.refuses:
            return await delivery.refuse(request, entry, fault)
        asked = _read(body, request.query, self.is_lenient)
        done = ENDPOINTS[entry.endpoint](asked)
        self.log.work_done(entry, done.units)
        extra = {"question": question.digest(asked.body)} if self.tells_question else {}
        return await delivery.responder(request, entry, {**done.answer, **extra}, fault)

    def _accepts(self, key: str) -> bool:
        return bool(key) and not key.startswith("bad-") and (self.keys is None or key in self.keys)

    def _fault(self, headers: Mapping[str, str], endpoint: str, key: str) -> Fault:
        described = headers.get(FAULT_HEADER)
        if described is not None:
            return _validated(Fault, described)
        return self.faults.take(endpoint, key)

    async def add_faults(self, request: web.Request) -> web.Response:
        try:
            self.faults.add(_validated(Rules, await request.read()).rules)
        except RefusedError as refusal:
            return delivery.json_response({"error": refusal.sentence}, refusal.status)
        return await self.list_faults(request)

    async def list_faults(self, _: web.Request) -> web.Response:
        return delivery.json_response({"rules": self.faults.listed()})

    async def clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return await self.list_faults(request)

    async def list_calls(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.isdecimal():
            return delivery.json_response({"error": "since: expected a call's index"}, 422)
        return delivery.json_response(self.log.as_json(int(since)))

    async def reset_calls(self, request: web.Request) -> web.Response:
        self.log.reset()
        return await self.list_calls(request)


SANDBOX: Final = web.AppKey("sandbox", Sandbox)


def create_app(
    latency_s: float = 0.0,
    keys: frozenset[str] | None = None,
    *,
    tells_question: bool = False,
    is_lenient: bool = False,
) -> web.Application:
    """The application; `keys` are the credentials that it takes (None: any that does not begin with `bad-`).

    With `tells_question` every answer has one member more, `question`: the digest of what it answers. A lenient one
    reads 5.0 as 5 and null as absent; what the real upstream makes of them is not known.
    """
    sandbox = Sandbox(latency_s, keys, tells_question=tells_question, is_lenient=is_lenient)
    app = web.Application(client_max_size=_MAX_BODY)
    app[SANDBOX] = sandbox
    app.add_routes([web.post(f"/api/v1/{name}", partial(sandbox.call, name)) for name in ENDPOINTS])
    app.add_routes(
        [
            web.post("/__sandbox/faults", sandbox.add_faults),
            web.get("/__sandbox/faults", sandbox.list_faults),
            web.delete("/__sandbox/faults", sandbox.clear_faults),
            web.get("/__sandbox/calls", sandbox.list_calls),
            web.delete("/__sandbox/calls", sandbox.reset_calls),
        ]
    )
    return app


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that listens at `url` until it is stopped."""

    url: str
    sandbox: Sandbox
    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()


async def start(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> Running:
    """Listen; port 0 takes a free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    # A batch client's first burst is 32 connections at once, later 512.
    await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    bound = runner.addresses[0]
    return Running(f"http://{bound[0]}:{bound[1]}", app[SANDBOX], runner)


def _read(body: bytes, query: Mapping[str, str], is_lenient: bool) -> Asked:
    try:
        parsed = orjson.loads(body)
        return Asked(lenient(parsed) if is_lenient else parsed, query)
    except orjson.JSONDecodeError:
        raise RefusedError(400, "the body is not JSON") from None


def _validated(model: type[M], text: str | bytes) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise RefusedError(422, f"not a fault: {faults}") from None


def _error(entry: Entry, status: int, sentence: str) -> web.Response:
    entry.status = status
    return delivery.json_response({"error": sentence}, status)
