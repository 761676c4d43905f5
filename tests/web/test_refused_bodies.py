"""A refused request leaves nothing behind, though the collector seldom comes (wiring/worker.py)."""

import asyncio
import gc
import weakref
from typing import Any

import aiohttp
import pytest

from gateway.core.problems import CALL_INVALID, Problem
from gateway.flow.pipeline import Pipeline
from tests.flow.harness import BODY, Harness
from tests.web.test_server import AUTH, run


class Held:
    """What a frame of the flow holds, as it does a body."""


async def refuse(held: list[weakref.ref[Held]], how: str) -> None:
    body = Held()
    held.append(weakref.ref(body))

    async def step() -> None:
        raise Problem(CALL_INVALID)

    if how == "awaited":
        await step()
    else:
        task = asyncio.ensure_future(step())  # the frame holds the task, it the problem, and this one the frame
        await task


@pytest.mark.parametrize("how", ["awaited", "in a task"])
def test_what_its_frames_held_is_free_without_the_collector(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Held]] = []

    async def handle(*_: Any) -> None:
        await refuse(held, how)

    async def play(_: Harness, session: aiohttp.ClientSession, url: str) -> None:
        async with session.post(url + "/api/v1/generate_tensor", json=BODY, headers=AUTH) as response:
            assert response.status == 422
        await asyncio.sleep(0.05)
        assert [one() is None for one in held] == [True]

    monkeypatch.setattr(Pipeline, "handle", handle)
    gc.disable()
    try:
        run(play)
    finally:
        gc.enable()
