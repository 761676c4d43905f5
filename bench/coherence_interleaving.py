"""One interleaving of what callers, administrators, stores and a thief do: drawn from its seed, judged as it goes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from bench.coherence_model import Model, Purged, Question
from bench.coherence_questions import NAMESPACE, QUESTIONS, USERS, body_of
from bench.coherence_thief import PARTS, Thief
from bench.coherence_world import MODELS, Worker, World, serial_of
from gateway.core.types import Namespace, Response
from gateway.flow.admin_arguments import InvalidArgument
from gateway.flow.purge import PurgeRequest
from gateway.ports import StoreUnavailable

WORKERS = 4
# So many looks until each connection of a worker is a new one.
RECONNECTIONS = 3
PATIENCE_S = 10.0
# One that has not been answered by then follows a call that is held.
FOLLOWS_S = 0.3
REFRESHES = ("no-cache", "max-age=0", "min-fresh=999999999")
Act = Callable[[], Awaitable[None]]


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
        self.model = Model(QUESTIONS, sent=world.upstream.sent, answered=world.upstream.answered)
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.story: list[str] = []
        self.workers: list[Worker] = []
        self.keys = {user: world.key(user, seed) for user in USERS}
        self.asking: list[Asking] = []
        self.thief = Thief(world.cache.port)
        self.down: set[str] = set()

    async def play(self, steps: int) -> None:
        await self._begin()
        acts = self._acts()
        try:
            for name in self.random.choices(list(acts), [weight for weight, _ in acts.values()], k=steps):
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
            await self._answered(self._ask(0, "ada", name, "no-cache"))  # in place of what the thief has put back
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
            upstream.hold_next = True
            upstream.reached.clear()
            asking = self._ask(self._worker(), "ada", question, self.random.choice(("", *REFRESHES)))
            reached = asyncio.create_task(upstream.reached.wait())
            await asyncio.wait([asking.task, reached], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
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
        task.add_done_callback(lambda _: self._ended(asking))
        return asking

    def _ended(self, asking: Asking) -> None:
        if asking in self.asking:
            self.asking.remove(asking)

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
        question, looked, asked = QUESTIONS[name], self.model.looked.get(worker, 0.0), time.time()
        response = await self.workers[worker].ask(body_of(question), self._headers(user, question, directive))
        self._judge(f"worker {worker}", user, name, (looked, asked), response)

    def _judge(self, worker: str, user: str, question: str, at: tuple[float, float], response: Response) -> None:
        status, serial = response.headers.get("Cache-Status", ""), None
        if response.status == 200:
            serial = serial_of(response.body)
            if "; stored" in status:
                busy = sum(each.question == question for each in self.asking) > 1
                self.model.stands(question).put(time.time(), serial, busy)
        self.story.append(f"{worker} {user} {question}: {response.status} {serial} {status}")
        if response.status in (200, 401):
            fault = self.model.fault(at[0], user, question, at[1], serial)
        else:
            fault = None if response.status in (412, 503, 504) else f"status {response.status}"
        if fault is not None:
            self._fault(f"{worker}, {question}: {fault}")

    # What workers and stores do

    async def look(self) -> None:
        await self._look(self._worker())

    async def _look(self, number: int) -> None:
        began = time.time()
        await self.workers[number].flow.poller.poll()
        if not self.down:
            self.model.looked[number] = began
        self.story.append(f"worker {number} looks")

    async def restart(self) -> None:
        number = self._worker()
        gone = [each.task for each in self.asking if each.worker == number]
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await self.workers[number].close()
        self.workers[number] = self.world.worker()
        self.story.append(f"worker {number} is new")
        await self._look(number)

    async def kill(self) -> None:
        name = self.random.choice(("cache", "cache", "state"))
        await getattr(self.world, name).kill()
        self.down.add(name)
        self.story.append(f"the {name} store is killed")

    async def start(self) -> None:
        for name in sorted(self.down):
            await getattr(self.world, name).start()
            self.story.append(f"the {name} store is back")
        if self.down:
            self.down.clear()
            self.world.clock.ahead_s += 10.0  # no circuit breaker is open any more
            for worker in self.workers * RECONNECTIONS:
                await worker.flow.poller.poll()

    # What administrators do

    async def purge(self) -> None:
        try:
            order, purged = await self._drawn_purge()
            began, by = time.time(), self.world.purger(self.workers[self._worker()])
            await by.purge(order, "root")
        except (StoreUnavailable, InvalidArgument):
            self.story.append("a purge fails")
            return
        self.model.purges.append(purged(began, time.time()))
        self.story.append(f"{self.model.purges[-1]}")

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
        self.story.append(f"the key of {user} is revoked")

    # What somebody does who can write to the cache store

    async def take_snapshot(self) -> None:
        if not self.down:
            await self.thief.take_snapshot()

    async def put_back(self) -> None:
        if not self.down:
            part = self.random.choice(PARTS)
            await self.thief.put_back(part)
            self._anything_may_stand(f"put back: {part.decode() or 'all'}")

    async def plant(self) -> None:
        if not self.down:
            key = await self.world.cache_key(self.workers[0], body_of(QUESTIONS[self._question()]), None)
            places = self.workers[0].cache.keys(key)
            place = self.random.choice((*places, places[1], "esmgw:purges"))
            await self.thief.plant(place, self.random.choice((b"evil", b"evil", None)))
            self._anything_may_stand(f"planted at {place}")

    def _anything_may_stand(self, line: str) -> None:
        for name in QUESTIONS:
            self.model.stands(name).put_back()
        self.story.append(line)

    def _worker(self) -> int:
        return self.random.randrange(WORKERS)

    def _question(self) -> str:
        return self.random.choice(list(QUESTIONS))

    def _fault(self, line: str) -> None:
        self.faults.append(f"seed {self.seed}, after {len(self.story)} events: {line}")
