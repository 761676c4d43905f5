"""`python -m bench.fairness`: are places at the upstream shared fairly, at no cost to all together?

One user's thousands of calls wait at a gateway with few places. Beside them: a user who asks once a second, a user with
twice the weight, a user whose calls cost a twentieth; and half of the thousands hang up. The upstream's latency is
fixed, so what is due to everybody is known. Exit status 1 where somebody did not get it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import click
import uvloop

from bench import figures, findings
from bench.fairness_callers import Waits, now_and_then
from bench.fairness_run import LOOK_S, Plan, Run, gauge, leavers, open_files, opened
from bench.findings import ANY, Finding
from bench.processes import BrokenError
from bench.report import machine
from bench.served import parsed_settings

SHAPE = 1
DEAR: Final = 20


async def single_call(run: Run) -> list[Finding]:
    """A call a second beside thousands of another user, and beside thousands of one's own."""
    plan, gateway = run.plan, run.gateway
    alone = await now_and_then(gateway.url, run.key("single"), 2 * plan.latency_s, 10 * plan.latency_s)
    crowd = run.callers("batch")
    crowd.start(plan.waiting)
    await run.all_wait(crowd)
    rates, waits = {}, {}
    for user in ("batch", "single"):

        async def asking(user: str = user) -> None:
            waits[user] = await now_and_then(gateway.url, run.key(user), plan.every_s, plan.seconds)

        rates[user] = await run.rate(asking)
    refused = crowd.refused.total()
    await crowd.hang_up()
    beside, most = waits["single"], 2 * max(plan.latency_s, alone.median)
    note = f"{len(beside.seconds)} calls, median {beside.median:.2f} s; alone {alone.median:.2f} s; of one's own "
    note += f"{waits['batch'].median:.2f} s or more" + _troubles(beside)
    return [
        Finding(plan.where, f"p99 of a call beside {plan.waiting:,} of another user, s", beside.p99, 0, most, note),
        Finding(plan.where, "of these calls not answered 200", beside.refused.total() + beside.unanswered, 0, 0),
        Finding(plan.where, "of the thousands refused", refused, 0, 0, ", ".join(crowd.refused)),
        Finding(
            plan.where,
            "calls a second of all, over the same of one user",
            rates["single"] / rates["batch"],
            0.95,
            ANY,
            f"{rates['single']:.1f} over {rates['batch']:.1f}, of {plan.places / plan.latency_s:.0f} possible",
        ),
    ]


def _troubles(waits: Waits) -> str:
    refused = "".join(f", {count} {slug}" for slug, count in waits.refused.items())
    return refused + (f", {waits.unanswered} without an answer" if waits.unanswered else "")


async def weights(run: Run) -> list[Finding]:
    one, two = await _shares(run, ("batch", 1), ("double", 1))
    bounds = 2 * (1 - run.plan.tolerance), 2 * (1 + run.plan.tolerance)
    note = f"{two} over {one} calls"
    return [Finding(run.plan.where, "share of weight 2 over weight 1", two / max(1, one), *bounds, note)]


async def prices(run: Run) -> list[Finding]:
    """Of two users with the same weight one's calls cost twenty times the other's."""
    dear, cheap = await _shares(run, ("dear", DEAR), ("cheap", 1))
    bounds = 1 - run.plan.tolerance, 1 + run.plan.tolerance
    note = f"{dear} calls of {DEAR} steps, {cheap} of one"
    return [Finding(run.plan.where, "units of cheap calls over dear ones", cheap / max(1, DEAR * dear), *bounds, note)]


async def _shares(run: Run, *users: tuple[str, int]) -> list[int]:
    """How many calls of each user were answered, while many of each wait."""
    crowds = [run.callers(*user) for user in users]
    for crowd in crowds:
        crowd.start(run.plan.waiting // 2)
    await run.all_wait(*crowds)
    before = [crowd.answered for crowd in crowds]
    await asyncio.sleep(run.plan.seconds)
    answered = [crowd.answered - was for crowd, was in zip(crowds, before, strict=True)]
    for crowd in crowds:
        await crowd.hang_up()
    return answered


async def hanging_up(run: Run) -> list[Finding]:
    """Half of those who wait hang up; afterwards the user may have as many calls at once as before."""
    plan, many = run.plan, leavers(run.plan)
    await run.upstream.reset()
    files = open_files(run.gateway)
    crowd = run.callers("leaver")
    crowd.start(many, calls=1)
    await run.all_wait(crowd)
    left = await crowd.hang_up(many // 2)
    await crowd.served()
    await run.idle()
    calls = (await run.upstream.calls())["total"]
    again = run.callers("leaver")
    again.start(many, calls=1)
    await again.served()
    await run.idle()
    await asyncio.sleep(LOOK_S)
    waiting = await gauge(run.gateway, "esmgw_upstream_waiting")
    files_left = open_files(run.gateway) - files
    unserved = many - left - crowd.answered
    note = ", ".join({*crowd.refused, *again.refused})
    return [
        Finding(plan.where, f"of {many:,} hung up while waiting", left, 1, many),
        Finding(plan.where, "of the others not answered 200", unserved, 0, 0, note),
        # One at each place when they hung up, and one that got it before all had.
        Finding(plan.where, "upstream calls beyond theirs", calls - crowd.answered, 0, 2 * plan.places),
        Finding(plan.where, f"of {many:,} calls made afterwards not answered 200", many - again.answered, 0, 0, note),
        Finding(plan.where, "files left open in the workers", files_left, -many, plan.places + 8 * plan.workers),
        Finding(plan.where, "calls that still wait by the gauge", waiting, 0, 0),
    ]


PARTS: Final = {
    "single": (single_call, ("batch", "single")),
    "weights": (weights, ("batch", "double")),
    "prices": (prices, ("dear", "cheap")),
    "hanging-up": (hanging_up, ("leaver",)),
}


async def measured(plans: Sequence[Plan], parts: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    found: list[Finding] = []
    for plan in plans:
        for part in parts:
            judge, users = PARTS[part]
            # A gateway for each, since calls that were given up might still wait.
            async with opened(plan, users, settings) as run:
                found += await judge(run)
    told = {"shape": SHAPE, "machine": machine(), "plans": [asdict(plan) for plan in plans]}
    return {**told, "findings": findings.as_rows(found)}


def as_text(result: Mapping[str, Any]) -> str:
    return findings.as_text(result["findings"])


def kept_its_word(result: Mapping[str, Any]) -> bool:
    return findings.all_hold(result["findings"])


@click.command()
@click.option("--workers", multiple=True, type=click.IntRange(1), default=(1, 4), show_default=True)
@click.option("--part", "parts", multiple=True, type=click.Choice(list(PARTS)), default=tuple(PARTS))
@click.option("--waiting", default=5000, show_default=True, type=click.IntRange(40), help="Calls of the large user.")
@click.option(
    "--places", default=16, show_default=True, type=click.IntRange(1), help="At the upstream, of all workers."
)
@click.option("--latency", "latency_s", default=0.2, show_default=True, help="Of the upstream, in seconds.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each measurement.")
@click.option("--tolerance", default=0.1, show_default=True, help="Of shares.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as fairness.json and in docs/performance.md: what is committed.")
def main(
    workers: tuple[int, ...], parts: tuple[str, ...], settings: tuple[str, ...], latest: bool, **numbers: Any
) -> None:
    """Shares of the places at the upstream, while thousands of calls wait."""
    plans = [Plan(workers=each, **numbers) for each in workers]
    try:
        result = uvloop.run(measured(plans, parts, parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    text = as_text(result)
    click.echo(text)
    click.echo(f"\nfigures in {figures.kept('fairness', result, text, latest=latest)}")
    if not kept_its_word(result):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
