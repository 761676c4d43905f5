"""The demo as a newcomer starts it, and what remains when it ends: its data, and no process."""

import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.demo_text import BODY, for_people
from tests.cli.conftest import Line
from tests.cli.started import Started, fetch, started, until

FIELDS = {"url", "key", "approved_key", "admin_url", "admin_key", "metrics_url", "sandbox_url", "pid"}
SAME_AGAIN = ("key", "approved_key", "sandbox_url", "metrics_url")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(directory: Path) -> Iterator[Started]:
    with started("demo", "--port", "0", "--data-dir", str(directory), "--json") as one:
        yield one.ready()


def test_it_reports_its_addresses_and_keys(demo: Started, directory: Path) -> None:
    assert set(demo.told) == FIELDS
    assert demo.told["pid"] == demo.process.pid
    assert (demo.told["admin_url"], demo.told["admin_key"]) == (None, None)
    assert fetch(demo.told["sandbox_url"] + "/__sandbox/calls")[0] == 200


def test_the_first_answer_comes_from_upstream_and_the_second_from_the_cache(demo: Started) -> None:
    first, second = demo.ask(num_steps=2), demo.ask(num_steps=2)
    assert (first[0], second[0]) == (200, 200)
    assert "fwd=miss" in first[1]["Cache-Status"]
    assert "hit" in second[1]["Cache-Status"]
    assert first[2] == second[2]


def test_only_the_approved_key_may_declare_a_sequence_of_concern(demo: Started) -> None:
    assert demo.ask("key", potential_sequence_of_concern=True)[0] == 403
    assert demo.ask("approved_key", potential_sequence_of_concern=True)[0] == 200


def test_the_metrics_page_counts_and_has_no_others_beside_it(demo: Started) -> None:
    demo.ask(num_steps=1)
    status, headers, page = fetch(demo.told["metrics_url"])
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert re.search(rb'^esmgw_requests_total\{endpoint="generate_tensor",outcome="\w+"\} [1-9]', page, re.MULTILINE)
    base = demo.told["metrics_url"].removesuffix("/metrics")
    assert fetch(base + "/livez")[0] == 200
    assert fetch(base + "/")[0] == 404
    assert fetch(base + "/metrics", b"x")[0] == 405


def test_the_commands_work_beside_the_running_gateway(demo: Started, directory: Path) -> None:
    line = Line(directory)
    assert demo.told["url"] in line.said("health")
    assert line.json("audit", "verify")["records"] >= 4
    assert {key["user"] for key in line.json("keys", "list")} == {"demo", "demo-approved"}
    units = {row["of"]: row["used"] for row in line.json("usage", "demo") if row["limit"] == "user-units"}
    assert units["user"] > 0


def test_a_revoked_key_is_refused_within_two_seconds(demo: Started, directory: Path) -> None:
    line = Line(directory)
    made = line.json("keys", "create", "--user", "ada")
    ada = Started.__new__(Started)
    ada.told = {**demo.told, "key": made["key"]}
    assert ada.ask()[0] == 200
    line.said("keys", "revoke", made["public_id"])
    assert until(lambda: ada.ask()[0] == 401) < 2.5


def test_secrets_are_for_their_owner_alone_and_on_no_command_line(demo: Started, directory: Path) -> None:
    for path in (directory / "demo-keys.json", *(directory / "secrets").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    secrets = [path.read_text().strip() for path in (directory / "secrets").iterdir()]
    words = " ".join(demo.tree().values())
    assert not [secret for secret in (*secrets, demo.told["key"], demo.told["approved_key"]) if secret in words]


def test_a_second_gateway_on_the_same_directory_is_refused(demo: Started, directory: Path) -> None:
    said = Line(directory).refusal("serve")
    assert f"Another gateway (process {demo.process.pid}, {demo.told['url']}) runs on {directory}" in said


def test_a_killed_worker_is_replaced_and_requests_go_on(demo: Started) -> None:
    before = demo.those(" worker ")
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(demo.those(" worker ")) - set(before)) == 1)
    assert [demo.ask()[0] for _ in range(20)] == [200] * 20


@pytest.mark.parametrize("role", ["state", "cache"])
def test_a_killed_store_comes_back_with_what_it_knew(demo: Started, role: str) -> None:
    assert demo.ask()[0] == 200
    before = demo.store(role)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: demo.store(role) not in (None, before), 5)
    assert until(lambda: demo.ask("approved_key")[0] == 200) < 2.5


def _answers(url: str) -> bool:
    try:
        return fetch(url + "/__sandbox/calls")[0] == 200
    except OSError:
        return False


def test_a_killed_sandbox_upstream_comes_back_at_the_same_address(demo: Started) -> None:
    (before,) = demo.those(" sandbox ")
    os.kill(before, signal.SIGKILL)
    until(lambda: demo.those(" sandbox ") not in ([], [before]) and _answers(demo.told["sandbox_url"]))
    assert demo.ask(temperature=0.5)[0] == 200


def test_sigterm_ends_all_of_it_and_leaves_nothing_behind(demo: Started) -> None:
    """Keep this the last test of the shared demo."""
    status, out, _ = demo.end()
    assert (status, out) == (0, "")
    assert demo.tree() == {}


def test_after_kill_9_nothing_serves_and_a_second_start_finds_everything_again(tmp_path: Path) -> None:
    words = ("demo", "--port", "0", "--data-dir", str(tmp_path / "data"), "--workers", "1", "--json")
    with started(*words) as first:
        first.ready()
        answer = first.ask()
        first.end(signal.SIGKILL)
        until(lambda: first.those("-m gateway") == [])
        with started(*words) as second:
            second.ready()
            assert {name: second.told[name] for name in SAME_AGAIN} == {name: first.told[name] for name in SAME_AGAIN}
            again = second.ask()
            assert "hit" in again[1]["Cache-Status"]
            assert again[2] == answer[2]
            used = {row["limit"]: row["used"] for row in Line(tmp_path / "data").json("usage", "demo")}
            assert used["user-units"] == 63
            second.end()
            assert second.tree() == {}
        until(lambda: first.tree() == {})


def test_a_signal_during_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with started("demo", "--port", "0", "--data-dir", str(tmp_path), "--json") as one:
        until(lambda: one.those("valkey-server") != [])
        status, out, _ = one.end(signal.SIGINT)
        assert (status, out) == (0, "")
        assert one.tree() == {}


def test_a_taken_port_is_reported_in_a_sentence_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started("demo", "--port", str(port), "--data-dir", str(tmp_path), "--json") as one:
            out, err = one.process.communicate(timeout=40)
            assert (one.process.returncode, out) == (1, b"")
            assert f"Port {port} on 127.0.0.1 is in use" in err.decode()
            assert one.tree() == {}


FACTS = {
    "url": "http://127.0.0.1:8080",
    "key": "esmgw_x",
    "approved_key": "esmgw_y",
    "metrics_url": "http://127.0.0.1:9464/metrics",
    "sandbox_url": "http://127.0.0.1:9000",
}


def test_a_person_reads_a_call_that_can_be_pasted(tmp_path: Path) -> None:
    text = for_people(FACTS, tmp_path)
    pasted = shlex.split(text[text.index("curl ") : text.index("With the SDK")])
    assert pasted[:4] == ["curl", "-sS", "-i", "http://127.0.0.1:8080/api/v1/generate_tensor"]
    assert json.loads(pasted[-1]) == BODY
    assert "Authorization: Bearer esmgw_x" in pasted
    snippet = text[text.index("from esm.sdk import client") : text.index("Metrics:")]
    compile("\n".join(row[2:] if row.startswith("  ") else row for row in snippet.splitlines()), "snippet", "exec")


def test_what_is_installed_for_the_sdk_is_all_that_it_imports(tmp_path: Path) -> None:
    """`esm` imports httpx and does not depend on it."""
    assert "(pip install esm httpx)" in for_people(FACTS, tmp_path)


def test_keys_and_places_stand_under_each_other(tmp_path: Path) -> None:
    rows = re.findall(r"^[A-Z][a-z ]+: +(?=\S)", for_people(FACTS, tmp_path), re.MULTILINE)
    keys, places = rows[:2], rows[2:]
    assert [len(places), *({len(row) for row in group} for group in (keys, places))] == [
        4,
        {len("Approved for sequences of concern:  ")},
        {len("Access log:  ")},
    ]


@pytest.mark.parametrize(
    ("argv0", "program"),
    [
        (".venv/bin/esm-gateway", ".venv/bin/esm-gateway"),
        ("/opt/esm gateway/bin/esm-gateway", "'/opt/esm gateway/bin/esm-gateway'"),
        ("/src/gateway/__main__.py", f"{shlex.quote(sys.executable)} -m gateway"),
    ],
)
def test_the_command_is_called_as_this_program_was(
    monkeypatch: pytest.MonkeyPatch, argv0: str, program: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [argv0, "demo"])
    assert f"  {program} usage --config {tmp_path}/gateway.toml\n" in for_people(FACTS, tmp_path)


def test_what_is_printed_works_as_printed(tmp_path: Path) -> None:
    with started("demo", "--port", "0", "--data-dir", str(tmp_path / "two words"), "--workers", "1") as one:
        assert one.process.stdout is not None
        text = ""
        while not text.endswith("quotas and cache again.\n"):
            line = one.process.stdout.readline()
            assert line, text
            text += line.decode()
        call = text[text.index("curl ") : text.index("With the SDK")]
        usage = re.findall(r"^Units used: +(.*)$", text, re.MULTILINE)[0]
        first, second, used = (
            subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=40).stdout
            for line in (call, call, usage)
        )
        assert "fwd=miss; stored" in first
        assert "; hit;" in second
        assert "demo" in used
        one.end()
