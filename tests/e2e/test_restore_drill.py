"""The drill of docs/backup.md, step by step: real servers, the real command line, a gateway that runs.

A back-up of the state store is put back after people have left: nobody comes in again, and nobody is locked out. An
empty store admits nothing new until somebody accepts it. Embedded stores are moved to a server of the operator's own.
"""

import asyncio
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.labs import Lab, Sandbox
from tests.e2e.product import BODY, COMMAND, PATH, until
from tests.e2e.test_lost_stores import Server, free_port, settings_text

FLAGGED = {**BODY, "potential_sequence_of_concern": True}


class Drill:
    """A gateway on a state store of the operator's own, and the command line beside it."""

    def __init__(self, directory: Path, sandbox: str) -> None:
        self.directory = directory
        self.state, self.cache = Server(directory, "state"), Server(directory, "cache")
        self.port = free_port()
        (directory / "data").mkdir()
        self.config = directory / "serve.toml"
        self.config.write_text(settings_text(sandbox, self.port, self.state, self.cache, directory))
        self.log = directory / "stderr"

    @contextmanager
    def serving(self) -> Iterator[None]:
        with self.log.open("ab") as complaints:
            process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config), "--json"], stdout=subprocess.PIPE, stderr=complaints
            )
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            self.url, self.metrics_url = str(told["url"]), str(told["metrics_url"])
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=40)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        line = [*COMMAND, *words, "--config", str(self.config)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    def command(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def new_key(self, user: str) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self.command("keys", "create", "--user", user, "--by", "root")
        return made

    async def ask(self, key: Mapping[str, Any], body: Mapping[str, Any] = BODY, control: str = "") -> tuple[int, str]:
        """The status, and the type of the problem that it is."""
        headers = {"Authorization": f"Bearer {key['key']}", **({"Cache-Control": control} if control else {})}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + PATH, json=body, headers=headers) as response,
        ):
            answer = await response.json(content_type=None)
            return response.status, str(answer.get("type", "")).rpartition(":")[2]

    async def answers(self, key: Mapping[str, Any], status: int, *more: Any) -> None:
        async def as_wanted() -> bool:
            return (await self.ask(key, *more))[0] == status

        await until(as_wanted, 15)

    def back_up(self) -> Path:
        copy = self.directory / "back-up"
        shutil.copytree(self.state.home / "appendonlydir", copy)
        return copy

    def put_back(self, copy: Path | None) -> None:
        """Stop the store, put the copy in its place (None: nothing), and start it."""
        self.state.kill()
        shutil.rmtree(self.state.home / "appendonlydir")
        if copy is not None:
            shutil.copytree(copy, self.state.home / "appendonlydir")
        self.state.start()

    async def counted(self, name: str) -> float:
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as response:
            lines = (await response.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    sandbox = Sandbox()
    made = Drill(tmp_path, sandbox.url)
    try:
        yield made
    finally:
        made.state.kill()
        made.cache.kill()
        sandbox.killed()


def approved(drill: Drill) -> None:
    words = ["--by", "grace", "--by", "edsger", "--reason", "toxin panel", "--until", "1h"]
    drill.command("approve", "stayer", *words)


def left(drill: Drill, leaver: Mapping[str, Any]) -> None:
    """Somebody leaves, an approval ends, a paper is published."""
    drill.command("keys", "revoke", leaver["public_id"], "--by", "root")
    drill.command("revoke-approval", "stayer", "--by", "root")
    drill.command("cache", "namespace", "freeze", "paper", "--by", "root")


async def nothing_revived(drill: Drill, leaver: Mapping[str, Any], stayer: Mapping[str, Any]) -> None:
    for _ in range(10):
        assert (await drill.ask(leaver))[0] in (401, 503)
        assert (await drill.ask(stayer, FLAGGED))[0] in (403, 503)
        assert (await drill.ask(stayer, {**BODY, "temperature": 0.3}, "namespace=paper"))[0] in (404, 503)
        await asyncio.sleep(0.1)
    await drill.answers(leaver, 401)
    await drill.answers(stayer, 200)
    assert await drill.ask(stayer, FLAGGED) == (403, "concern-refused")


def test_a_back_up_put_back_under_a_running_gateway_revives_nothing_and_locks_nobody_out(drill: Drill) -> None:
    async def play(leaver: Mapping[str, Any], stayer: Mapping[str, Any]) -> None:
        assert (await drill.ask(leaver))[0] == 200
        await drill.answers(stayer, 200, FLAGGED)
        copy = drill.back_up()
        left(drill, leaver)
        newcomer = drill.new_key("newcomer")
        await drill.answers(leaver, 401)
        await drill.answers(newcomer, 200)
        await asyncio.sleep(1.5)  # a worker that has not looked since does not know that there was one more
        drill.put_back(copy)
        await nothing_revived(drill, leaver, stayer)
        # What the back-up never had is lost, and said.
        await drill.answers(newcomer, 401)
        assert await drill.counted("esmgw_decisions_reapplied_total") >= 3
        assert await drill.counted("esmgw_state_closed") == 0
        log = drill.log.read_text()
        assert "lacked 3 decisions (key 1, approval 1, namespace 1)" in log
        assert "1 keys fewer" in log

    with drill.serving():
        leaver, stayer = drill.new_key("leaver"), drill.new_key("stayer")
        approved(drill)
        drill.command("cache", "namespace", "create", "paper", "--by", "root")
        asyncio.run(play(leaver, stayer))
        assert drill.command("keys", "show", leaver["public_id"])["state"] == "revoked"
        assert [each["state"] for each in drill.command("cache", "namespaces")] == ["frozen"]
        assert drill.command("audit", "verify")["compared"]
        kinds = [record["kind"] for record in drill.command("audit", "tail", "-n", "50")]
        assert "decisions_reapplied" in kinds
        end = drill.command("audit", "verify")
    assert f"audit head: chain {end['chain']} record {end['records']} {end['head']}\n" in drill.log.read_text()


@pytest.mark.parametrize("memory", ["kept", "lost"])
def test_a_back_up_put_back_while_nothing_runs_revives_nothing_also_where_the_audit_record_alone_remembers(
    drill: Drill, memory: str
) -> None:
    leaver, stayer = drill.new_key("leaver"), drill.new_key("stayer")
    approved(drill)
    drill.command("cache", "namespace", "create", "paper", "--by", "root")
    copy = drill.back_up()
    left(drill, leaver)
    drill.put_back(copy)
    if memory == "lost":
        shutil.rmtree(drill.directory / "data" / "memory")
    with drill.serving():
        asyncio.run(nothing_revived(drill, leaver, stayer))


def test_an_empty_store_admits_nothing_new_until_it_is_accepted(drill: Drill) -> None:
    async def emptied(known: Mapping[str, Any], unknown: Mapping[str, Any]) -> None:
        assert (await drill.ask(known))[0] == 200
        drill.put_back(None)

        async def closed() -> bool:
            return await drill.ask(unknown) == (503, "state-closed")

        await until(closed, 15)
        # The known key: its hits for a minute, and nothing that costs anything.
        assert await drill.ask(known, {**BODY, "temperature": 0.9}) in (
            (503, "state-closed"),
            (503, "state-unavailable"),
        )
        assert await drill.counted("esmgw_state_closed") == 1
        assert "nothing new is admitted: the state store holds no keys, and it held" in drill.log.read_text()

    async def opened(known: Mapping[str, Any]) -> None:
        made = drill.new_key("ada")
        await drill.answers(made, 200)
        assert (await drill.ask(known))[0] == 401
        assert await drill.counted("esmgw_state_closed") == 0

    with drill.serving():
        known, unknown = drill.new_key("known"), drill.new_key("unknown")
        asyncio.run(emptied(known, unknown))
        refused = drill.run("keys", "create", "--user", "ada")
        assert refused.returncode == 1
        assert "state accept" in refused.stderr
        assert "holds no keys" in drill.command("state", "status")["closed"]
        assert "holds no keys" in drill.command("state", "accept", "--yes", "--by", "grace")["accepted"]
        asyncio.run(opened(known))
    with drill.serving():
        asyncio.run(opened(known))
        assert drill.command("audit", "verify")["compared"]
        records = {record["kind"]: record["facts"] for record in drill.command("audit", "tail", "-n", "50")}
        assert records["state_accepted"]["ran_by"]


def test_an_old_sealed_record_that_somebody_writes_back_opens_nothing(drill: Drill) -> None:
    async def play(leaver: Mapping[str, Any]) -> None:
        from gateway.adapters.redis_connect import connect

        store = connect(f"unix://{drill.state.socket}", timeout_s=5.0, name="test")
        name, field = "esmgw:{keys}:records", leaver["public_id"]
        old: bytes = await store.call("get", "HGET", name, field)
        drill.command("keys", "revoke", field, "--by", "root")
        await asyncio.sleep(2.0)  # every worker obeys within two seconds: one of them answering 401 is not all
        assert (await drill.ask(leaver))[0] == 401
        await store.call("put", "HSET", name, field, old)
        await store.call("move", "INCR", "esmgw:{keys}:epoch")
        await store.close()
        for _ in range(15):
            assert (await drill.ask(leaver))[0] in (401, 503)
            await asyncio.sleep(0.1)
        await drill.answers(leaver, 401)
        # Each worker may have met it before the other one had put it right.
        assert await drill.counted('esmgw_decisions_reapplied_total{kind="key",what="record"}') in (1, 2)
        assert f"undone a decision, which holds: key:{field}" in drill.log.read_text()

    with drill.serving():
        asyncio.run(play(drill.new_key("leaver")))


def test_embedded_stores_move_to_a_server_of_the_operator_s_own(tmp_path: Path) -> None:
    sandbox = Sandbox()
    lab = Lab(tmp_path / "lab", sandbox.url)
    server: Server | None = None
    try:
        with lab.serving():
            stayer = lab.command("keys", "create", "--user", "stayer", "--by", "root")
            leaver = lab.command("keys", "create", "--user", "leaver", "--by", "root")
            lab.command("keys", "revoke", leaver["public_id"], "--by", "root")
        server = moved(lab, tmp_path)
        with lab.serving():
            assert asyncio.run(status(lab, stayer)) == 200
            assert asyncio.run(status(lab, leaver)) == 401
            verified = lab.command("audit", "verify")
            lab.command("keys", "create", "--user", "ada", "--by", "root")
            assert lab.command("audit", "verify")["records"] == verified["records"] + 1
            assert lab.command("state", "status")["closed"] == ""
    finally:
        if server is not None:
            server.kill()
        sandbox.killed()


def moved(lab: Lab, directory: Path) -> Server:
    """The steps of the page: copy the append-only files, name the server and the master secret, start."""
    home = directory / "state"
    home.mkdir()
    shutil.copytree(lab.directory / "data" / "state" / "appendonlydir", home / "appendonlydir")
    home.rename(directory / "copied")
    server = Server.__new__(Server)
    server.options, server.home, server.process = (), directory / "copied", None
    server.socket = server.home / "s"
    server.start()
    with lab.config.open("a") as config:
        config.write(
            f'[stores]\nstate_url = "unix://{server.socket}"\n[secrets]\nmaster_file = "data/secrets/master"\n'
        )
    return server


async def status(lab: Lab, key: Mapping[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {key['key']}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(lab.url + PATH, json=BODY, headers=headers) as response,
    ):
        return response.status
