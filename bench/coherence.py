"""`python -m bench.coherence`: may what was served be served? Random interleavings against a model.

Four workers on a real state store and a real cache store: callers ask, refresh and follow; answers are purged in every
way; keys are revoked; workers are restarted; stores are killed (`kill -9`) and come back; and somebody who can write to
the cache store puts back what was in it before, whole or in part, or writes leases and junk. Workers look at the stores
when they are told to, so each order of events is tried, and each can be tried again by its seed.

Exit status 1 where one answer was served that the model (`bench.coherence_model`) forbids, where a caller waited for
more than ten seconds, or where the workers do not agree in the end.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import orjson
from redis.asyncio import Redis

from bench.coherence_model import Model, Purged, Question
from bench.coherence_world import MASKS, Worker, World, opened, serial_of
from gateway.core.types import Namespace, Response
from gateway.flow.purge import PurgeRequest
from gateway.flow.admin_arguments import InvalidArgument
from gateway.ports import StoreUnavailable

WORKERS = 4
PATIENCE_S = 10.0
# One that has not been answered by then follows a call that is held.
FOLLOWS_S = 0.3
MODELS = ("esm3-open-2024-03", "esm3-small-2024-08")
USERS = ("ada", "bea", "cyd")
NAMESPACE = "paper"
REFRESHES = ("no-cache", "max-age=0", "min-fresh=999999999")
EXACT = {"strategy": "entropy", "temperature_annealing": False}
PINNED = {"strategy": "random", "temperature_annealing": True}
QUESTIONS = {
    question.name: question
    for question in (
        Question("exact 0", MODELS[0]),
        Question("pinned 0", MODELS[0]),
        Question("exact 1", MODELS[1]),
        Question("exact 2", MODELS[0], NAMESPACE),
        Question("pinned 3", MODELS[1], NAMESPACE),
    )
}
Act = Callable[[], Awaitable[None]]


def body_of(question: Question) -> bytes:
    kind, number = question.name.split()
    steps = {"num_steps": 2 + int(number), **(EXACT if kind == "exact" else PINNED)}
    inputs = {"sequence": [0, *[32] * MASKS, 2]}
    return orjson.dumps({"model": question.model, "track": "sequence", "temperature": 0, "inputs": inputs, **steps})


@dataclass(eq=False)
class Asking:
    """A request that is under way."""

    worker: int
    question: str
    task: "asyncio.Task[None]"


class Interleaving:
    """One of them: what is done is drawn from its seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random, self.seed = world, random.Random(seed), seed
        upstream = world.upstream
        self.model = Model(QUESTIONS, sent=upstream.sent, answered=upstream.answered)
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.story: list[str] = []
        self.workers: list[Worker] = []
        self.keys = {user: world.key(user, seed) for user in USERS}
        self.asking: list[Asking] = []
        self.snapshot: dict[bytes, bytes] = {}
        self.down: set[str] = set()

    async def play(self, steps: int) -> None:
        await self._begin()
        acts = self._acts()
        weights = [weight for weight, _ in acts.values()]
        try:
            for name in self.random.choices(list(acts), weights, k=steps):
                self.done[name] += 1
                await acts[name][1]()
            await self._end()
        finally:
            await self.land()
            for each in self.workers:
                await each.close()

    def _acts(self) -> dict[str, tuple[int, Act]]:
        return {
            "ask": (40, self.ask),
            "look": (25, self.look),
            "refresh": (12, self.refresh),
            "fly": (8, self.fly),
            "land": (8, self.land),
            "purge": (12, self.purge),
            "revoke": (1, self.revoke),
            "restart": (3, self.restart),
            "kill": (3, self.kill),
            "start": (3, self.start),
            "snapshot": (4, self.take_snapshot),
            "put back": (5, self.put_back),
            "plant": (3, self.plant),
        }

    async def _begin(self) -> None:
        for server in (self.world.state, self.world.cache):
            await server.empty()
        self.workers = [self.world.worker() for _ in range(WORKERS)]
        adapters = self.workers[0].adapters
        for record, _ in self.keys.values():
            await adapters.directory.put_key(record)
        await adapters.namespace_store.create(Namespace(NAMESPACE, self.world.clock.now()))
        for number in range(WORKERS):
            await self._look(number)

    async def _end(self) -> None:
        """All is well again, and all agree."""
        await self.start()
        await self.land()
        for name, question in QUESTIONS.items():
            for _ in range(2):
                for number in range(WORKERS):
                    await self._look(number)
                    await self._answered(self._ask(number, "ada", name, ""))
            said = [await worker.ask(body_of(question), self._headers("ada", question, "")) for worker in self.workers]
            if {response.status for response in said} != {200} or len({response.body for response in said}) > 1:
                self._fault(f"in the end the workers do not agree on {name}: {[each.status for each in said]}")
            elif not all("; hit" in response.headers["Cache-Status"] for response in said):
                self._fault(f"in the end {name} is not in the cache")

    # What callers do

    async def ask(self) -> None:
        await self._answered(self._ask(self._worker(), self.random.choice(USERS), self._question(), ""))

    async def refresh(self) -> None:
        directive = self.random.choice(REFRESHES)
        await self._answered(self._ask(self._worker(), self.random.choice(USERS), self._question(), directive))

    async def fly(self) -> None:
        """A call that is at the upstream until it is told to land."""
        question, upstream = self._question(), self.world.upstream
        if len(upstream.held) < 3 and not self._others(question):
            upstream.hold_next, before = True, len(upstream.held)
            asking = self._ask(self._worker(), "ada", question, self.random.choice(("", *REFRESHES)))
            while not asking.task.done() and len(upstream.held) == before:
                await asyncio.sleep(0.001)
            upstream.hold_next = False

    async def land(self) -> None:
        for gate in self.world.upstream.held:
            gate.set()
        self.world.upstream.held.clear()
        for asking in tuple(self.asking):
            await self._answered(asking, alone=True)

    def _ask(self, worker: int, user: str, question: str, directive: str) -> Asking:
        task = asyncio.create_task(self._asked(worker, user, question, directive))
        asking = Asking(worker, question, task)
        self.asking.append(asking)
        task.add_done_callback(lambda _: asking in self.asking and self.asking.remove(asking))
        return asking

    async def _answered(self, asking: Asking, alone: bool = False) -> None:
        """Wait for it; one that may follow a call that is held is left to itself."""
        follows = not alone and self._others(asking.question, asking)
        await asyncio.wait([asking.task], timeout=FOLLOWS_S if follows else PATIENCE_S)
        if asking.task.done():
            await asking.task
        elif not follows:
            self._fault(f"a caller of {asking.question} waits for more than {PATIENCE_S:g} s")
            asking.task.cancel()

    def _others(self, question: str, this: Asking | None = None) -> bool:
        return any(each.question == question and each is not this for each in self.asking)

    def _headers(self, user: str, question: Question, directive: str) -> dict[str, str]:
        named = [directive] if directive else []
        named += [f"namespace={question.namespace}"] if question.namespace else []
        headers = {"Authorization": self.keys[user][1], "Content-Type": "application/json"}
        return headers | ({"Cache-Control": ", ".join(named)} if named else {})

    async def _asked(self, worker: int, user: str, name: str, directive: str) -> None:
        question, asked = QUESTIONS[name], time.time()
        response = await self.workers[worker].ask(body_of(question), self._headers(user, question, directive))
        self._judge(worker, user, name, asked, response)

    def _judge(self, worker: int, user: str, question: str, asked: float, response: Response) -> None:
        status, serial = response.headers.get("Cache-Status", ""), None
        if response.status == 200:
            serial = serial_of(response.body)
            if "; stored" in status:
                busy = sum(each.question == question for each in self.asking) > 1
                self.model.stands(question).put(time.time(), serial, busy)
        self._tell(f"worker {worker} {user} {question}: {response.status} {serial} {status}")
        if response.status in (200, 401):
            fault = self.model.fault(worker, user, question, asked, serial)
        else:
            fault = None if response.status in (503, 504) else f"status {response.status}"
        if fault is not None:
            self._fault(f"worker {worker}, {question}: {fault}")

    # What workers and stores do

    async def look(self) -> None:
        await self._look(self._worker())

    async def _look(self, number: int) -> None:
        began = time.time()
        await self.workers[number].flow.poller.poll()
        if not self.down:
            self.model.looked[number] = began
        self._tell(f"worker {number} looks")

    async def restart(self) -> None:
        number = self._worker()
        gone = [each.task for each in self.asking if each.worker == number]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await self.workers[number].close()
        self.workers[number] = self.world.worker()
        self._tell(f"worker {number} is new")
        await self._look(number)

    async def kill(self) -> None:
        name = self.random.choice(("cache", "cache", "state"))
        await getattr(self.world, name).kill()
        self.down.add(name)
        self._tell(f"the {name} store is killed")

    async def start(self) -> None:
        for name in sorted(self.down):
            await getattr(self.world, name).start()
            self._tell(f"the {name} store is back")
        self.down.clear()
        self.world.clock.ahead_s += 10.0  # no circuit breaker is open any more

    # What administrators do

    async def purge(self) -> None:
        try:
            order, purged = await self._drawn_purge()
            began, by = time.time(), self.world.purger(self.workers[self._worker()])
            await by.purge(order, "root")
        except (StoreUnavailable, InvalidArgument):
            self._tell("a purge fails")
            return
        self.model.purges.append(purged(began, time.time()))
        self._tell(f"{self.model.purges[-1]}")

    async def _drawn_purge(self) -> tuple[PurgeRequest, Callable[[float, float], Purged]]:
        kind, model = self.random.choice(("all", "model", "soft", "age", "key", "key", "namespace")), MODELS[0]
        if kind == "key":
            question = QUESTIONS[self._question()]
            key = await self.world.cache_key(self.workers[0], body_of(question), question.namespace)
            order = PurgeRequest(key=key, namespace=question.namespace or "default")
            return order, lambda began, ended: Purged(began, ended, question=question.name)
        if kind == "namespace":
            order = PurgeRequest(namespace=NAMESPACE)
            return order, lambda began, ended: Purged(began, ended, namespace=NAMESPACE)
        of_one = model if kind == "model" or (kind == "soft" and self.random.random() < 0.5) else None
        age = 0.05 if kind == "age" else None
        order = PurgeRequest(of_one, age, soft=kind == "soft")
        return order, lambda began, ended: Purged(began, ended, model=of_one or "", older_than_s=age or 0.0)

    async def revoke(self) -> None:
        user = self.random.choice(USERS[1:])
        if user in self.model.revoked:
            return
        try:
            record = replace(self.keys[user][0], revoked=time.time())
            await self.workers[0].adapters.directory.put_key(record)
        except StoreUnavailable:
            self.model.doubtful.add(user)
            return
        self.model.revoked[user] = time.time()
        self._tell(f"the key of {user} is revoked")

    # What somebody does who can write to the cache store

    async def take_snapshot(self) -> None:
        if "cache" not in self.down:
            async with self._thief() as client:
                keys = [key async for key in client.scan_iter()]
                dumps = {key: await client.dump(key) for key in keys}
            self.snapshot = {key: dump for key, dump in dumps.items() if dump is not None}

    async def put_back(self) -> None:
        if "cache" not in self.down:
            part = self.random.choice((b"", b"esmgw:purges", b"esmgw:entry", b"esmgw:changes", b"esmgw:lease"))
            async with self._thief() as client:
                for key, dump in self.snapshot.items():
                    if key.startswith(part):
                        await client.restore(key, 0, dump, replace=True)
            for name in QUESTIONS:
                self.model.stands(name).put_back()
            self._tell(f"put back: {part.decode() or 'all'}")

    async def plant(self) -> None:
        """A lease, an entry or a state of purges that nobody here has made; or one that is taken away."""
        if self.down:
            return
        worker, question = self.workers[0], QUESTIONS[self._question()]
        key = await self.world.cache_key(worker, body_of(question), None)
        store: Any = worker.adapters.cache
        at = self.random.choice((*store.keys(key), store.keys(key)[1], "esmgw:purges"))
        async with self._thief() as client:
            await (client.delete(at) if self.random.random() < 0.3 else client.set(at, "evil"))
        for name in QUESTIONS:
            self.model.stands(name).put_back()
        self._tell(f"planted at {at.rpartition(':')[0]}")

    def _thief(self) -> "Redis":
        return Redis(host="127.0.0.1", port=self.world.cache.port)

    def _worker(self) -> int:
        return self.random.randrange(WORKERS)

    def _question(self) -> str:
        return self.random.choice(list(QUESTIONS))

    def _tell(self, line: str) -> None:
        self.story.append(line)

    def _fault(self, line: str) -> None:
        self.faults.append(f"seed {self.seed}, after {len(self.story)} events: {line}")


async def played(count: int, seed: int, steps: int, tell: Callable[[str], None]) -> tuple[list[str], Counter[str]]:
    """The faults of so many interleavings, the first with this seed; and how often each thing was done."""
    faults: list[str] = []
    done: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="esmgw-coherence-") as directory:
        async with opened(Path(directory)) as world:
            for number in range(seed, seed + count):
                each = Interleaving(world, number)
                await each.play(steps)
                faults += each.faults
                done += each.done
                if each.faults:
                    tell("\n".join([*each.story[-40:], *each.faults]))
    return faults, done


@click.command()
@click.option("--count", default=200, show_default=True, help="How many interleavings.")
@click.option("--seed", default=1, show_default=True, help="Of the first; each has the next.")
@click.option("--steps", default=60, show_default=True, help="What is done in each of them.")
def main(count: int, seed: int, steps: int) -> None:
    """Random interleavings of what changes answers, over four workers, against a model of what may be served."""
    began = time.monotonic()
    faults, done = asyncio.run(played(count, seed, steps, click.echo))
    for fault in faults:
        click.echo(fault)
    click.echo(", ".join(f"{times:,} x {name}" for name, times in sorted(done.items())))
    click.echo(f"{count} interleavings in {time.monotonic() - began:.0f} s: {len(faults)} violations")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
