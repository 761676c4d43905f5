"""`python -m bench.mix`: all attacks mixed, for ten minutes, on four workers, beside a user who is watched.

In each of ten rounds several attackers at a time draw an attack and its length; half of them are killed half-way, so
that whatever they had begun is cut off. Then everybody rests, and what the workers still hold is compared from round to
round: memory, descriptors, requests in flight. The upstream never fails on what the watched user calls, so a 5xx that
this user gets is the gateway's. Exit status 1 where a bar was missed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from bench import figures
from bench.attacks.__main__ import chosen, like_a_shell
from bench.attacks.attack import Attack
from bench.attacks.catalogue import ATTACKS
from bench.attacks.course import Actor, Stage, staged
from bench.attacks.outcomes import Outcomes, outcomes
from bench.attacks.resources import Resources, sample
from bench.attacks.verdict import Bar
from bench.processes import BrokenError
from bench.report import machine
from bench.served import parsed_settings

SHAPE: Final = 1
AT_ONCE: Final = 3
REST: Final = 0.15
LONGEST_REST_S: Final = 10.0
KILLED: Final = 0.5
LONGEST_S: Final = 15.0
SAME: Final = 0.1
SLACK: Final = {"rss_mb": 16.0, "descriptors": 8.0}
IDLE_UPSTREAM: Final = {"upstream.keepalive_s": 2.0}
"""Shorter than a rest, so that idle connections to the upstream are no descriptors that stay."""


@dataclass(frozen=True, slots=True)
class MixPlan:
    """How long, over how many workers, and beside how many calls of the watched user a second."""

    minutes: float
    workers: int
    rate: float
    seed: int
    rounds: int
    only: tuple[str, ...]

    @property
    def round_s(self) -> float:
        return self.minutes * 60 / self.rounds

    @property
    def rest_s(self) -> float:
        return min(LONGEST_REST_S, REST * self.round_s)


@dataclass(slots=True)
class Mix:
    """The attackers, as they come and go."""

    stage: Stage
    plan: MixPlan
    chance: random.Random
    runs: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    faults: list[Attack] = field(default_factory=list)

    async def attacking(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        names = chosen(self.plan.only)
        while (left := until - loop.time()) > self.plan.rest_s:
            attack = ATTACKS[self.chance.choice(names)]
            await self._attacked(attack, min(left, self.chance.uniform(0.2, 1) * LONGEST_S), until)

    async def _attacked(self, attack: Attack, seconds: float, until: float) -> None:
        async with self.stage.attacker(attack, self.plan.workers) as attacker:
            await attacker.hear()
            seconds = min(seconds, until - asyncio.get_running_loop().time())
            if seconds <= 0:
                return
            self.runs[attack.name] += 1
            with self._faulty(attack):
                await self._misbehave()
                attacker.tell(seconds)
                await self._ended(attacker, seconds)
        await self._misbehave()

    async def _ended(self, attacker: Actor, seconds: float) -> None:
        if self.chance.random() < KILLED:
            await asyncio.sleep(self.chance.random() * seconds)
            attacker.kill()
            self.killed += 1
            return
        heard = await attacker.hear(seconds + 90)
        self.told.update(heard["told"])
        self.problems.update(heard["problems"])

    @contextmanager
    def _faulty(self, attack: Attack) -> Iterator[None]:
        self.faults.append(attack)
        try:
            yield
        finally:
            self.faults.remove(attack)

    async def _misbehave(self) -> None:
        """The upstream's faults are those of the attacks that are under way."""
        await self.stage.misbehave([rule for attack in self.faults for rule in attack.rules], instead=True)


async def measured(plan: MixPlan, settings: Mapping[str, Any]) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(staged(plan.workers, {**IDLE_UPSTREAM, **settings}))
        watcher = await stack.enter_async_context(stage.watcher())
        mix = Mix(stage, plan, random.Random(plan.seed))
        resources = Resources(stage.gateway)
        sampling = asyncio.create_task(resources.watching())
        rounds = []
        for number in range(plan.rounds):
            rounds.append(await _round(mix, watcher))
            click.echo(f"{number + 1:2}: {_round_line(rounds[-1])}", err=True)
        sampling.cancel()
        return {
            "shape": SHAPE,
            "machine": machine(),
            "plan": asdict(plan),
            "runs": dict(sorted(mix.runs.items())),
            "killed": mix.killed,
            "attackers": {"told": dict(mix.told), "problems": dict(mix.problems)},
            "rounds": rounds,
            "outcomes": asdict(await outcomes(stage)),
            **resources.as_json(),
        }


async def _round(mix: Mix, watcher: Actor) -> dict[str, Any]:
    plan = mix.plan
    busy_s = plan.round_s - plan.rest_s
    until = asyncio.get_running_loop().time() + busy_s
    watcher.tell([busy_s, plan.rate])
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(mix.attacking(until))
    felt = await watcher.hear(busy_s + 90)
    await asyncio.sleep(plan.rest_s)
    resting = sample(mix.stage.gateway.workers)
    return {
        "felt": felt,
        "rss_mb": round(sum(resting.rss_mb.values()), 1),
        "descriptors": sum(resting.descriptors.values()),
        "in_flight": (await outcomes(mix.stage)).in_flight,
    }


def bars(result: Mapping[str, Any]) -> list[Bar]:
    """5xx to the watched user, what stays from the middle on, and an outcome for every request."""
    rounds = result["rounds"]
    counted = Outcomes(**result["outcomes"])
    failed = sum(n for one in rounds for kind in ("cold", "hits") for n in _failed(one["felt"][kind]["statuses"]))
    settled = rounds[len(rounds) // 2 :]
    return [
        Bar("5xx and losses of the watched user", failed, 0, failed == 0),
        Bar("5xx of the gateway's own to attackers", counted.own_faults, 0, counted.own_faults == 0),
        *(_flat(name, [one[name] for one in settled]) for name in SLACK),
        Bar("requests in flight at rest", settled[-1]["in_flight"], 0, settled[-1]["in_flight"] == 0),
        Bar("requests logged twice", counted.logged_twice, 0, counted.logged_twice == 0),
        Bar(
            "outcomes counted beyond those logged",
            abs(counted.counted - counted.logged),
            0,
            counted.counted == counted.logged,
        ),
        Bar("workers that died", result["workers_died"], 0, result["workers_died"] == 0),
    ]


def _failed(statuses: Mapping[str, int]) -> Iterator[int]:
    """Answers with 5xx, and what was lost or came too late."""
    return (count for status, count in statuses.items() if not status.isdecimal() or status >= "500")


def _flat(name: str, values: list[float]) -> Bar:
    """Within a tenth of their middle, at rest."""
    middle = sorted(values)[len(values) // 2]
    off = max(abs(value - middle) for value in values)
    limit = round(max(SAME * middle, SLACK[name]), 1)
    return Bar(f"{name} at rest, from the middle on: off their median", round(off, 1), limit, off <= limit)


def _round_line(one: Mapping[str, Any]) -> str:
    kinds = (
        f"{kind} {one['felt'][kind]['answered']:.1%}, p99 {one['felt'][kind]['p99_ms']} ms" for kind in one["felt"]
    )
    rest = f"at rest {one['rss_mb']:.0f} MiB, {one['descriptors']} descriptors, {one['in_flight']:g} in flight"
    return f"{'; '.join(kinds)}; {rest}"


def as_text(result: Mapping[str, Any]) -> str:
    counted = result["outcomes"]
    lines = [
        f"{sum(result['runs'].values())} attacks of {len(result['runs'])} kinds, {result['killed']} of them killed",
        *(f"{number:2}: {_round_line(one)}" for number, one in enumerate(result["rounds"], 1)),
        f"requests: {counted['counted']:,.0f} counted, {counted['logged']:,} logged, {counted['logged_twice']} twice",
        f"largest worker {result['rss_mb_most_of_one']:.0f} MiB, {result['descriptors_most_of_one']} descriptors",
        *(
            f"{'met     ' if bar.met else 'NOT MET '}{bar.name}: {bar.measured:g} of {bar.limit:g}"
            for bar in bars(result)
        ),
    ]
    return "\n".join(lines)


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--workers", default=4, show_default=True)
@click.option("--rate", default=20.0, show_default=True, help="Cold calls of the watched user a second, and hits.")
@click.option("--seed", default=1, show_default=True, help="Of what is drawn.")
@click.option("--rounds", default=10, show_default=True, help="Of attacks, and a rest after each.")
@click.option("--only", multiple=True, metavar="NAME", help="An attack, or the beginning of some, to draw from.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the gateway.")
@click.option("--latest", is_flag=True, help="Also as mix.json and in docs/performance.md: what is committed.")
@click.option("--results", default=figures.RESULTS, type=click.Path(path_type=Path), help="Where figures go.")
def main(settings: tuple[str, ...], results: Path, *, latest: bool, **numbers: Any) -> None:
    """All attacks at random, with callers who are cut off, and what stays of them."""
    like_a_shell()
    try:
        result = uvloop.run(measured(MixPlan(**numbers), parsed_settings(settings)))
    except BrokenError as error:
        raise click.ClickException(str(error)) from None
    judged = bars(result)
    text = as_text(result)
    click.echo(text)
    result["bars"] = [asdict(bar) for bar in judged]
    click.echo(f"\nfigures in {figures.kept('mix', result, text, latest=latest, results=results)}")
    if not all(bar.met for bar in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
