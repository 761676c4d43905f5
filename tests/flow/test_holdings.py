"""What a worker holds is shown, each memory by its name, as it is now."""

import asyncio

from gateway.flow.holdings import SHOW_EVERY_S
from tests.flow.harness import Harness, turns

LAYERS = {"calls", "plans", "answers", "keys", "warnings", "spot_checks"}
COUNTS = {"flights", "allowances", "refused_users", "tasks"}


def shown(gateway: Harness) -> tuple[dict[str, float], dict[str, float]]:
    gateway.flow.holdings.show()
    gauges = gateway.memory.meter.gauges
    sizes = {labels[1]: value for labels, value in gauges.items() if labels[0] == "esmgw_local_cache_bytes"}
    return sizes, {labels[1]: value for labels, value in gauges.items() if labels[0] == "esmgw_held"}


def test_every_memory_is_shown_and_grows_with_what_is_put_into_it() -> None:
    async def act() -> None:
        gateway = await Harness().opened()
        sizes, counts = shown(gateway)
        assert set(sizes) == LAYERS
        assert set(counts) == COUNTS
        assert set(sizes.values()) == {0}
        await gateway.ask()
        await gateway.ask()
        await gateway.settled()
        sizes, counts = shown(gateway)
        assert all(sizes[layer] > 500 for layer in ("calls", "plans", "answers", "keys"))
        assert counts["flights"] == counts["tasks"] == 0
        await gateway.ask({"potential_sequence_of_concern": True})
        assert shown(gateway)[1]["refused_users"] == 1

    asyncio.run(act())


def test_what_is_under_way_is_shown_while_it_lasts() -> None:
    async def act() -> None:
        gateway = await Harness().opened()
        go_on, answer = asyncio.Event(), gateway.memory.upstream.answer

        async def later(request: object) -> object:
            await go_on.wait()
            return answer(request)  # type: ignore[arg-type]

        gateway.memory.upstream.answer = later  # type: ignore[assignment]
        asking = [asyncio.ensure_future(gateway.ask({"num_steps": 1 + i % 2})) for i in range(6)]
        await turns(50)
        counts = shown(gateway)[1]
        assert counts["flights"] == 2
        assert counts["tasks"] >= 2
        assert counts["allowances"] <= 1
        go_on.set()
        await asyncio.gather(*asking)
        await gateway.settled()
        assert shown(gateway)[1]["flights"] == 0

    asyncio.run(act())


def test_the_gauges_follow_by_themselves() -> None:
    async def act() -> None:
        gateway = await Harness().opened()
        gateway.memory.clock.automatic = False
        loop = asyncio.ensure_future(gateway.flow.holdings.forever())
        await turns()
        await gateway.ask()
        before = gateway.memory.meter.gauges[("esmgw_local_cache_bytes", "keys")]
        gateway.memory.clock.advance(SHOW_EVERY_S)
        await turns()
        assert (before, gateway.memory.meter.gauges[("esmgw_local_cache_bytes", "keys")] > 500) == (0, True)
        loop.cancel()

    asyncio.run(act())
