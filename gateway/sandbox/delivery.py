"""How an answer leaves the sandbox: as it should, or slow, padded, wrapped, cut short or not at all.

JSON is `application/json` to the letter, since esm 3.2.1 compares for equality, and never says NaN or Infinity.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from gateway.sandbox.faults import Fault
from gateway.sandbox.record import Entry

JSON: Final = "application/json"


async def pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


def json_response(value: Any, status: int = 200) -> web.Response:
    # orjson writes null for NaN and Infinity.
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(status=status, body=body, content_type=JSON)


async def refuse(request: web.Request, entry: Entry, fault: Fault) -> web.StreamResponse:
    """The error that the fault asks for; nothing was computed."""
    sentence = HTTPStatus(fault.status).phrase if fault.status in set(HTTPStatus) else "error"
    return await _send(request, entry, fault, _encoded(fault, {"error": sentence}))


async def responder(request: web.Request, entry: Entry, answer: dict[str, Any], fault: Fault) -> web.StreamResponse:
    """The answer to work that was done, with what the fault makes of it."""
    return await _send(request, entry, fault, _encoded(fault, answer))


def _encoded(fault: Fault, answer: dict[str, Any]) -> bytes:
    if fault.body is not None:
        return fault.body.encode()
    if fault.warning_messages is not None:
        answer = {**answer, "warning_messages": fault.warning_messages}
    if fault.pad_bytes:
        # Numbers: a gateway may leave out texts that it does not know.
        zeros = b"0," * (fault.pad_bytes // 2) + b"0"
        answer = {**answer, "padding": orjson.Fragment(b"[" + zeros + b"]")}
    if fault.wrap_data:
        answer = {"data": answer}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


async def _send(request: web.Request, entry: Entry, fault: Fault, body: bytes) -> web.StreamResponse:
    await pause(fault.first_byte_s)
    if fault.drop is not None:
        _close(request)
        return web.Response()
    entry.status = fault.status
    headers = {"Content-Type": fault.content_type or JSON}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.truncate_at is None and not fault.middle_s:
        return web.Response(status=fault.status, body=body, headers=headers)
    return await _in_pieces(request, fault, body, headers)


def _close(request: web.Request) -> None:
    """Hang up once what was written is sent; aiohttp finds the connection closed and sends nothing more."""
    if request.transport is not None:
        request.transport.close()


async def _in_pieces(request: web.Request, fault: Fault, body: bytes, headers: dict[str, str]) -> web.StreamResponse:
    """Announce the whole body, then send it in two halves or stop short of its end."""
    response = web.StreamResponse(status=fault.status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    sent = body if fault.truncate_at is None else body[: fault.truncate_at]
    half = len(sent) // 2
    await response.write(sent[:half])
    await pause(fault.middle_s)
    await response.write(sent[half:])
    if len(sent) < len(body):
        _close(request)
    return response
